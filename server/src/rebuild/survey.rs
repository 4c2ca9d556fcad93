//! The survey: the tails of all packs, read once and set down by what they are about.

use std::collections::{HashMap, HashSet};

use database::PackName;
use futures::{StreamExt, TryStreamExt};
use protocol::Timestamp;

use super::{
    Rebuild, RebuildError,
    report::Stage,
    spool::{Entry, Spool},
    tail::{self, TailError},
};
use crate::pack::{self, CacheRecord, KeptOutRecord, Record, Removal, Stamp};

/// How many tails are fetched at a time.
const TAILS: usize = 32;

/// All that the packs say.
pub(super) struct Survey {
    pub(super) spool: Spool,
    /// Frames; one entry for each pack that has any, and for those that have none but lie where frames do.
    pub(super) frames: Vec<Entry>,
    /// NARs, and removals of NARs.
    pub(super) nars: Vec<Entry>,
    /// Paths, documents, and removals of them.
    pub(super) rest: Vec<Entry>,
    /// Promotion, and revoked tokens.
    pub(super) told: Vec<Entry>,
    pub(super) caches: Vec<(Stamp, CacheRecord)>,
    /// Until when path records of that NAR say nothing.
    pub(super) kept_out: HashMap<KeptOutRecord, Stamp>,
}

/// The records of a pack that have one stamp, by what they are about.
#[derive(Default)]
struct Portion {
    frames: Vec<Record>,
    nars: Vec<Record>,
    rest: Vec<Record>,
    told: Vec<Record>,
}

impl Rebuild<'_> {
    /// Reads every pack's tail.
    pub(super) async fn survey(&mut self) -> Result<Survey, RebuildError> {
        let mut survey = Survey {
            spool: Spool::make(&self.options.scratch)?,
            frames: Vec::new(),
            nars: Vec::new(),
            rest: Vec::new(),
            told: Vec::new(),
            caches: Vec::new(),
            kept_out: HashMap::new(),
        };
        self.read_tails(&mut survey, "packs/", &mut HashSet::new()).await?;
        let mut seen = HashSet::new();
        // A server that collects meanwhile puts one object with records in the place of many.
        while self.read_tails(&mut survey, "records/", &mut seen).await? {}
        survey.spool.flush()?;
        survey.frames.sort_unstable();
        survey.nars.sort_unstable();
        survey.rest.sort_unstable();
        survey.told.sort_unstable();
        survey.caches.sort_by_key(|(stamp, _)| *stamp);
        Ok(survey)
    }

    /// Reads the tails of all packs below a prefix but those in `seen`; objects with records only are added to it. Says whether one
    /// went while it was read.
    async fn read_tails(
        &mut self,
        survey: &mut Survey,
        prefix: &'static str,
        seen: &mut HashSet<PackName>,
    ) -> Result<bool, RebuildError> {
        let mut has_gone = false;
        let storage = std::sync::Arc::clone(&self.storage);
        let listed = storage.list(prefix).err_into::<RebuildError>();
        let new = listed.try_filter(|(key, _)| {
            std::future::ready(pack::name(key).map_or(seen.is_empty(), |name| !seen.contains(&name)))
        });
        let mut tails = new
            .map_ok(|(key, size)| {
                let storage = &storage;
                async move {
                    let records = tail::read(&**storage, &key, size).await;
                    Ok((key, size, records))
                }
            })
            .try_buffered(TAILS)
            .boxed();
        let mut names = Vec::new();
        while let Some((key, size, records)) = tails.try_next().await? {
            names.extend(pack::name(&key).filter(|_| prefix == "records/"));
            match (pack::name(&key), records) {
                (_, Err(TailError::Storage(error))) => return Err(error.into()),
                (None, _) => self.report.damaged_packs.add(&key, "its name is that of no pack"),
                (Some(_), Err(TailError::Gone)) if self.storage.size(&key).await?.is_none() => has_gone = true,
                (_, Err(error)) => self.report.damaged_packs.add(&key, error),
                (Some(name), Ok(records)) => {
                    self.report.packs += 1;
                    self.take(survey, name, size, prefix == "packs/", records)?;
                }
            }
            self.tell(Stage::Reading, self.report.packs + self.report.damaged_packs.count, None);
        }
        drop(tails);
        seen.extend(names);
        Ok(has_gone)
    }

    fn take(
        &mut self,
        survey: &mut Survey,
        name: PackName,
        size: u64,
        may_have_frames: bool,
        records: Vec<Record>,
    ) -> Result<(), RebuildError> {
        let mut stamp = without_stamp(&records);
        let mut portion = Portion::default();
        let mut has_frames_entry = !may_have_frames;
        for record in records.into_iter().map(Some).chain([None]) {
            let next = match record {
                Some(Record::Stamp(next)) => Some(next),
                None => None,
                Some(record) => {
                    self.sort_in(survey, &mut portion, name, stamp, record);
                    continue;
                }
            };
            // Frames come before the first stamp, and have it.
            let Portion { frames, nars, rest, told } = std::mem::take(&mut portion);
            if !frames.is_empty() || !has_frames_entry {
                survey.frames.push(survey.spool.append(next.unwrap_or(stamp), name, size, &frames)?);
                has_frames_entry = true;
            }
            if !nars.is_empty() {
                survey.nars.push(survey.spool.append(stamp, name, size, &nars)?);
            }
            if !rest.is_empty() {
                survey.rest.push(survey.spool.append(stamp, name, size, &rest)?);
            }
            if !told.is_empty() {
                survey.told.push(survey.spool.append(stamp, name, size, &told)?);
            }
            stamp = next.unwrap_or(stamp);
        }
        Ok(())
    }

    fn sort_in(&mut self, survey: &mut Survey, portion: &mut Portion, name: PackName, stamp: Stamp, record: Record) {
        match record {
            Record::Chunk(_) => portion.frames.push(record),
            Record::Nar(_) | Record::Removal(Removal::Nar { .. }) => portion.nars.push(record),
            Record::Path(_) | Record::Document(_) | Record::Removal(_) => portion.rest.push(record),
            Record::Promotion(_) | Record::Revocation(_) => portion.told.push(record),
            Record::Cache(cache) => survey.caches.push((stamp, cache)),
            Record::KeptOut(kept_out) => {
                let until = survey.kept_out.entry(kept_out).or_default();
                *until = stamp.max(*until);
            }
            Record::Damage(damage) => {
                let pack = data_encoding::HEXLOWER.decode(damage.pack.as_bytes()).ok();
                match pack.and_then(|bytes| bytes.try_into().ok()) {
                    Some(pack) => drop(self.damage.insert((PackName(pack), damage.offset))),
                    None => self.report.malformed_records.add(name, "a damaged frame is in a pack without a name"),
                }
            }
            Record::Stamp(_) => {}
        }
    }
}

/// The stamp of records that have none of their own: the last second that one of them names.
fn without_stamp(records: &[Record]) -> Stamp {
    let at = |record: &Record| match record {
        Record::Path(path) => Some(path.at),
        Record::Document(document) => Some(document.about.at),
        _ => None,
    };
    records.iter().filter_map(at).max().map(|at| Stamp::of(Timestamp(at))).unwrap_or_default()
}
