//! Caches from their records.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use database::{Cache, CacheChange, CacheId, CacheLimits, NewCache, NewPin};
use formats::{PublicKey, SecretKey, StoreDir};
use protocol::{CacheName, Timestamp};

use super::{Rebuild, RebuildError, report::LostKey};
use crate::{
    journal::{SealError, cache_of, promotion_keys_of},
    pack::{CacheRecord, CacheState, Stamp},
};

/// What happens to the caches, in order.
pub(super) struct Timeline {
    events: VecDeque<(Stamp, String, Event)>,
    /// Caches that are there at the moment.
    live: HashMap<String, CacheId>,
    /// When those began that some record describes.
    begun: HashMap<String, Stamp>,
    /// What they have beside their settings; it comes last, since it is about their paths.
    states: HashMap<String, CacheState>,
    /// Every cache that some record describes.
    described: HashSet<String>,
}

/// What happens to a cache. Its settings are those of the last record before its deletion: what they were meanwhile shows nowhere.
enum Event {
    Create(CacheState),
    Delete,
}

impl Timeline {
    /// Puts records, in their order, together.
    pub(super) fn of(records: Vec<(Stamp, CacheRecord)>) -> Self {
        let mut by_name: BTreeMap<String, Vec<(Stamp, Option<CacheState>)>> = BTreeMap::new();
        for (stamp, record) in records {
            by_name.entry(record.name).or_default().push((stamp, record.state));
        }
        let described = by_name.keys().cloned().collect();
        let mut events = Vec::new();
        for (name, records) in by_name {
            let mut open: Option<(Stamp, CacheState)> = None;
            // What was pushed before the first record was pushed to that very cache: there were no records then.
            let mut begins = Some(Stamp::default());
            for (stamp, state) in records {
                match (state, open.take()) {
                    (Some(state), Some((begun, _))) => open = Some((begun, state)),
                    (Some(state), None) => open = Some((begins.take().unwrap_or(stamp), state)),
                    (None, Some((begun, state))) => {
                        events.push((begun, name.clone(), Event::Create(state)));
                        events.push((stamp, name.clone(), Event::Delete));
                    }
                    (None, None) => begins = None,
                }
            }
            if let Some((begun, state)) = open {
                events.push((begun, name, Event::Create(state)));
            }
        }
        events.sort_by_key(|(stamp, _, _)| *stamp);
        Self { events: events.into(), live: HashMap::new(), begun: HashMap::new(), states: HashMap::new(), described }
    }

    /// Whether something happens to a cache up to `stamp`.
    pub(super) fn changes_until(&self, stamp: Stamp) -> bool {
        self.events.front().is_some_and(|(at, _, _)| *at <= stamp)
    }

    /// The cache of that name, if it is there at the moment and was there at `stamp`.
    pub(super) fn live_since(&self, name: &str, stamp: Stamp) -> Option<CacheId> {
        let is_older = self.begun.get(name).is_some_and(|begun| stamp < *begun);
        self.live(name).filter(|_| !is_older)
    }

    /// The cache of that name, if it is there at the moment.
    pub(super) fn live(&self, name: &str) -> Option<CacheId> {
        self.live.get(name).copied()
    }
}

impl Rebuild<'_> {
    /// Makes happen what happened to caches up to `stamp`.
    pub(super) async fn caches_until(&mut self, timeline: &mut Timeline, stamp: Stamp) -> Result<(), RebuildError> {
        while timeline.changes_until(stamp) {
            let Some((at, name, event)) = timeline.events.pop_front() else { break };
            let Ok(cache) = name.parse::<CacheName>() else {
                self.report.malformed_records.add(name, "no name of a cache");
                continue;
            };
            match event {
                Event::Create(state) => {
                    let now = if at == Stamp::default() { self.clock.now() } else { at.timestamp() };
                    match cache_of(&cache, &state, self.seal, now) {
                        Ok((new, keys, lost)) => {
                            let row = self.put_cache(&new, keys).await?;
                            timeline.live.insert(name.clone(), row.id);
                            timeline.begun.insert(name.clone(), at);
                            timeline.states.insert(name.clone(), state);
                            self.note_lost(&name, lost);
                        }
                        Err(why) => self.report.malformed_records.add(name, why),
                    }
                }
                Event::Delete => {
                    timeline.live.remove(&name);
                    timeline.states.remove(&name);
                    self.report.lost_keys.retain(|key| key.cache != name);
                    self.database.delete_cache(&cache, at.timestamp()).await?;
                }
            }
        }
        Ok(())
    }

    fn note_lost(&mut self, cache: &str, keys: Vec<(PublicKey, Option<SealError>)>) {
        self.report.lost_keys.extend(keys.into_iter().map(|(public, error)| LostKey {
            cache: cache.to_owned(),
            public: public.to_string(),
            why: error.map_or("it was never sealed".to_owned(), |error| error.to_string()),
        }));
    }

    /// Gives the caches that there are their promotion keys and limits, and pins what they keep.
    pub(super) async fn limits_and_pins(&mut self, timeline: &Timeline) -> Result<(), RebuildError> {
        for (name, state) in &timeline.states {
            let Some(cache) = timeline.live(name) else { continue };
            let parsed = name.parse().map_err(|_| "no name of a cache".to_owned());
            match parsed.and_then(|parsed| promotion_keys_of(&parsed, state, self.seal)) {
                Ok((keys, lost)) => {
                    if !keys.is_empty() {
                        self.database.set_promotion_keys(cache, &keys).await?;
                    }
                    self.note_lost(name, lost);
                }
                Err(why) => self.report.malformed_records.add(name, why),
            }
            let CacheState { max_size, quota, is_read_only, .. } = *state;
            self.database.set_limits(cache, &CacheLimits { max_size, quota, is_read_only }).await?;
            for pin in &state.pins {
                let Ok(path) = pin.path.parse() else {
                    self.report.malformed_records.add(&pin.path, "a pin is on what is no path");
                    continue;
                };
                let new = NewPin {
                    cache,
                    name: pin.name.clone(),
                    path,
                    keep: None,
                    expires_at: pin.expires_at.map(Timestamp),
                    pinned_by: pin.pinned_by.clone(),
                    now: Timestamp(pin.at),
                };
                if self.database.add_pin(&new).await?.is_none() {
                    self.report.hidden_paths.add(&pin.path, "it is pinned, and not there");
                }
            }
        }
        Ok(())
    }

    /// The cache that something was pushed to: `None` if it was deleted since.
    pub(super) async fn cache(
        &mut self,
        timeline: &mut Timeline,
        name: &str,
        store_dir: Option<&str>,
    ) -> Result<Option<CacheId>, RebuildError> {
        if let Some(id) = timeline.live(name) {
            return Ok(Some(id));
        }
        let Ok(cache) = name.parse::<CacheName>() else { return Ok(None) };
        if timeline.described.contains(name) {
            return Ok(None);
        }
        // From before caches were recorded, by a server that was never started again.
        let state = CacheState {
            is_public: false,
            store_dir: store_dir.unwrap_or(StoreDir::default().as_str()).to_owned(),
            priority: database::DEFAULT_PRIORITY,
            upstream_key_names: Vec::new(),
            retention: None,
            keys: Vec::new(),
            promotion_keys: Vec::new(),
            max_size: None,
            quota: None,
            is_read_only: false,
            pins: Vec::new(),
        };
        let Ok((new, keys, _)) = cache_of(&cache, &state, self.seal, self.clock.now()) else { return Ok(None) };
        let row = self.put_cache(&new, keys).await?;
        self.report.assumed_caches.push(name.to_owned());
        timeline.live.insert(name.to_owned(), row.id);
        Ok(Some(row.id))
    }

    /// Makes a cache, or what an earlier attempt made of it, to be this.
    async fn put_cache(&self, new: &NewCache, keys: Vec<SecretKey>) -> Result<Cache, RebuildError> {
        let created = self.database.create_cache(new).await?;
        if let Some(created) = created
            && keys.len() == 1
        {
            return Ok(created);
        }
        let change = CacheChange {
            is_public: Some(new.is_public),
            store_dir: Some(new.store_dir.clone()),
            priority: Some(new.priority),
            upstream_key_names: Some(new.upstream_key_names.clone()),
            retention: Some(new.retention),
            keys: Some(keys),
        };
        let changed = self.database.change_cache(&new.name, &change).await?;
        changed.ok_or(RebuildError::Commit(database::CommitError::CacheGone))
    }
}
