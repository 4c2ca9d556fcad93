//! Caches: every change of one is in the storage before it is acknowledged.

use database::{Cache, CacheChange, CacheLimits, Database, NewCache, Pin};
use formats::{KeyName, PublicKey, SecretKey};
use protocol::{CacheName, Timestamp};

use super::{Journal, KeyUse, Seal, SealError};
use crate::pack::{CacheRecord, CacheState, KeyRecord, PinRecord, Record};

/// Why a change of a cache cannot be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The index failed: nothing was changed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The change is in the index, but not in the storage. The next change of the cache, or the next start of a server, writes it.
    #[error("the change was made, but could not be recorded in the storage")]
    Storage(#[from] storage::Error),
}

impl Journal {
    /// Makes a cache; `None` if there is one of that name.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn create_cache(&self, database: &dyn Database, cache: &NewCache) -> Result<Option<Cache>, JournalError> {
        // Before the cache can be pushed to, so that no path of it is older than the cache itself.
        let at = self.stamp();
        let created = database.create_cache(cache).await?;
        if let Some(created) = &created {
            self.record(at, vec![self.cache_record(created, &[], CacheLimits::default(), Vec::new())]).await?;
        }
        Ok(created)
    }

    /// Changes a cache; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn change_cache(
        &self,
        database: &dyn Database,
        name: &CacheName,
        change: &CacheChange,
    ) -> Result<Option<Cache>, JournalError> {
        match database.change_cache(name, change).await? {
            Some(_) => self.note_cache(database, name).await,
            None => Ok(None),
        }
    }

    /// Deletes a cache; `false` if there is none of that name.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn delete_cache(
        &self,
        database: &dyn Database,
        name: &CacheName,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        let at = self.stamp();
        let deleted = database.delete_cache(name, now).await?;
        if deleted {
            self.record(at, vec![Record::Cache(CacheRecord { name: name.to_string(), state: None })]).await?;
        }
        Ok(deleted)
    }

    /// Records a cache as it is, with its limits and its pins: to be called after every change of these, before it is acknowledged.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn note_cache(&self, database: &dyn Database, name: &CacheName) -> Result<Option<Cache>, JournalError> {
        // The stamp first, then the look: of two changes at a time, the record with the later stamp has both.
        let at = self.stamp();
        let cache = database.find_cache(name).await?;
        if let Some(cache) = &cache {
            self.record(at, vec![self.look_at(database, cache).await?]).await?;
        }
        Ok(cache)
    }

    /// Records every cache as it is: those from before there was a journal, and keys sealed with another secret, become part of it.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn note_all_caches(&self, database: &dyn Database) -> Result<(), JournalError> {
        let at = self.stamp();
        let caches = database.list_caches().await?;
        if self.seal.is_none() && !caches.is_empty() {
            tracing::warn!(
                "the secret keys of the caches are not in the storage, since this server has no secret to seal them with; back them up"
            );
        }
        let mut records = Vec::with_capacity(caches.len());
        for cache in &caches {
            records.push(self.look_at(database, cache).await?);
        }
        Ok(self.record(at, records).await?)
    }

    async fn look_at(&self, database: &dyn Database, cache: &Cache) -> Result<Record, JournalError> {
        let limits = database.find_limits(cache.id).await?;
        let pins = database.list_pins(cache.id, self.clock.now()).await?;
        let promotion_keys = database.find_promotion_keys(cache.id).await?;
        Ok(self.cache_record(cache, &promotion_keys, limits, pins))
    }

    fn cache_record(&self, cache: &Cache, promotion_keys: &[SecretKey], limits: CacheLimits, pins: Vec<Pin>) -> Record {
        let key = |of: KeyUse| {
            move |key: &SecretKey| KeyRecord {
                public: key.public_key().to_string(),
                sealed: self.seal.as_ref().and_then(|seal| seal.close(&cache.name, of, key)),
            }
        };
        let state = CacheState {
            is_public: cache.is_public,
            store_dir: cache.store_dir.to_string(),
            priority: cache.priority,
            upstream_key_names: cache.upstream_key_names.iter().map(ToString::to_string).collect(),
            retention: cache.retention,
            keys: cache.keys.iter().map(key(KeyUse::Cache)).collect(),
            promotion_keys: promotion_keys.iter().map(key(KeyUse::Promotion)).collect(),
            max_size: limits.max_size,
            quota: limits.quota,
            is_read_only: limits.is_read_only,
            pins: pins.into_iter().map(pin_record).collect(),
        };
        Record::Cache(CacheRecord { name: cache.name.to_string(), state: Some(state) })
    }
}

fn pin_record(pin: Pin) -> PinRecord {
    PinRecord {
        name: pin.name,
        path: pin.path.to_string(),
        at: pin.created_at.0,
        expires_at: pin.expires_at.map(|at| at.0),
        pinned_by: pin.pinned_by,
    }
}

/// Those keys that can be had, and those whose secret halves cannot, with why.
type Keys = (Vec<SecretKey>, Vec<(PublicKey, Option<SealError>)>);

/// A cache, the keys that it has beside its first, and those whose secret halves cannot be had, with why.
type Reread = (NewCache, Vec<SecretKey>, Vec<(PublicKey, Option<SealError>)>);

fn keys_of(name: &CacheName, of: KeyUse, records: &[KeyRecord], seal: Option<&Seal>) -> Result<Keys, String> {
    let (mut keys, mut lost) = (Vec::new(), Vec::new());
    for record in records {
        let public: PublicKey = record.public.parse().map_err(|error| format!("a key of {name}: {error}"))?;
        match (seal, &record.sealed) {
            (Some(seal), Some(sealed)) => match seal.open(name, of, &public, sealed) {
                Ok(key) => keys.push(key),
                Err(error) => lost.push((public, Some(error))),
            },
            _ => lost.push((public, None)),
        }
    }
    Ok((keys, lost))
}

/// The promotion keys of a cache from its record, and those whose secret halves cannot be had.
///
/// If all are lost there is a fresh one, under a name that no client trusts by mistake.
///
/// # Errors
/// If a field of the record is malformed: says which.
pub fn promotion_keys_of(name: &CacheName, state: &CacheState, seal: Option<&Seal>) -> Result<Keys, String> {
    let (mut keys, lost) = keys_of(name, KeyUse::Promotion, &state.promotion_keys, seal)?;
    if keys.is_empty() && !lost.is_empty() {
        let key_name = format!("{name}-promoted-rebuilt-1").parse().map_err(|error| format!("{name}: {error}"))?;
        keys.push(SecretKey::generate(key_name, rand::random()));
    }
    Ok((keys, lost))
}

/// A cache from its record, and the keys whose secret halves cannot be had.
///
/// A cache must have a key, so one that has lost all gets a fresh one, under a name that no client trusts by mistake.
///
/// # Errors
/// If a field of the record is malformed: says which.
pub fn cache_of(name: &CacheName, state: &CacheState, seal: Option<&Seal>, now: Timestamp) -> Result<Reread, String> {
    let (mut keys, lost) = keys_of(name, KeyUse::Cache, &state.keys, seal)?;
    if keys.is_empty() {
        let key_name: KeyName = format!("{name}-rebuilt").parse().map_err(|error| format!("{name}: {error}"))?;
        keys.push(SecretKey::generate(key_name, rand::random()));
    }
    let names = state.upstream_key_names.iter().map(|text| text.parse());
    let cache = NewCache {
        name: name.clone(),
        is_public: state.is_public,
        store_dir: state.store_dir.parse().map_err(|error| format!("the store dir of {name}: {error}"))?,
        priority: state.priority,
        upstream_key_names: names
            .collect::<Result<_, _>>()
            .map_err(|error| format!("a key name of {name}: {error}"))?,
        retention: state.retention,
        key: keys[0].clone(),
        now,
    };
    Ok((cache, keys, lost))
}
