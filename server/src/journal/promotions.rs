//! Promotion: what has changed of it is noted in the index, with the change, until it is in the storage.

use std::collections::HashSet;

use database::{Database, PromotionFact, UnrecordedKind};
use protocol::CacheName;

use super::{Journal, JournalError};
use crate::pack::{PromotionRecord, Record};

/// How many changes are looked at for one object.
const BATCH: u32 = 200;
/// How many bytes of records one object has before it is written, give or take the last one.
const OBJECT_BYTES: usize = 4 << 20;

impl Journal {
    /// Records all that has changed of promotion, whoever changed it. To be called after every change, before it is acknowledged; what
    /// could not be recorded then is recorded by the next call, in whatever process.
    ///
    /// # Errors
    /// If the index or the storage fails.
    pub async fn note_promotions(&self, database: &dyn Database) -> Result<(), JournalError> {
        // Whoever waits here finds what it came for recorded already.
        let _alone = self.promotions.lock().await;
        loop {
            // The stamp first, then the look: of two looks at a time, the record with the later stamp has both changes.
            let at = self.stamp();
            let waiting = database.unrecorded(BATCH).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let (mut records, mut done, mut bytes) = (Vec::new(), Vec::new(), 0);
            let mut seen = HashSet::new();
            for one in waiting {
                if bytes >= OBJECT_BYTES {
                    break;
                }
                done.push(one.id);
                if one.kind == UnrecordedKind::Keys {
                    self.note_cache(database, &one.cache).await?;
                } else if seen.insert((one.kind, one.row))
                    && let Some(fact) = database.promotion_fact(&one).await?
                {
                    let record = promotion(&one.cache, fact);
                    bytes += length(&record);
                    records.push(record);
                }
            }
            self.record(at, records).await?;
            database.forget_unrecorded(&done).await?;
        }
    }

    /// Records something that a builder or an admin says about paths, before it is in the index: it does no harm there alone.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn note_said(&self, cache: &CacheName, fact: PromotionFact) -> Result<(), JournalError> {
        Ok(self.record(self.stamp(), vec![promotion(cache, fact)]).await?)
    }
}

fn length(record: &Record) -> usize {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes.len()
}

fn promotion(cache: &CacheName, fact: PromotionFact) -> Record {
    Record::Promotion(PromotionRecord { cache: cache.to_string(), fact })
}
