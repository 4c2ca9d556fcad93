//! Merging: the many small objects that have records only become few.
//!
//! Every change of the index beside a push leaves such an object. Merged, each record stands once, what is not true any more is left
//! out, and of what was written again and again only what decides stays. An object goes when everything that it says is durable
//! elsewhere: whoever makes the index anew before that finds records twice, which changes nothing.

mod caches;

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use storage::Key;

use self::caches::Caches;
use super::{super::CollectError, Round, StampedRecord, in_order, stamped};
use crate::{
    fetch,
    pack::{self, FOOTER_BYTES, Footer, PackError, Record, Removal, Stamp},
};

/// Objects smaller than this are merged …
const SMALL_BYTES: u64 = 512 << 10;
/// … when there are this many.
const MANY: usize = 64;
/// So many are merged in one round.
const MAX_OBJECTS: usize = 20_000;
/// A new object is closed when its records have this many bytes.
const PIECE_BYTES: usize = 8 << 20;
/// How many objects are read at a time.
const READS: usize = 16;

/// An object, and its length.
type Object = (Key, u64);

impl Round<'_> {
    /// Merges small objects that have records only, if there are many of them whose records are all settled.
    pub(in crate::collect) async fn merge_records(&mut self) -> Result<(), CollectError> {
        let small = self.small_objects().await?;
        if small.len() < MANY {
            return Ok(());
        }
        // What is written down in later ones may be about to become true.
        let settled = Stamp::of(self.now.minus(self.policy().upload_lease));
        let mut caches = Caches::default();
        let mut sources = Vec::new();
        let mut objects = stream::iter(small).map(|object| self.object(object)).buffered(READS).boxed();
        while let Some((object, records)) = objects.try_next().await? {
            let records = records.unwrap_or_default();
            caches.note_deletions(&records);
            if records.iter().map(|(stamp, _)| *stamp).max().is_some_and(|last| last <= settled) {
                sources.push(object);
            }
        }
        drop(objects);
        if sources.len() < MANY {
            return Ok(());
        }
        self.merge(sources, caches).await
    }

    async fn merge(&mut self, sources: Vec<Object>, mut caches: Caches) -> Result<(), CollectError> {
        let mut piece = Piece::default();
        let mut merged = Vec::with_capacity(sources.len());
        for batch in sources.chunks(READS) {
            self.chore.renew().await?;
            let objects = stream::iter(batch.to_vec()).map(|object| self.object(object));
            let objects: Vec<_> = objects.buffered(READS).boxed().try_collect().await?;
            for ((key, _), records) in objects {
                // Gone or damaged since it was first read: then it is not ours to replace.
                let Some(records) = records else { continue };
                for (stamp, record) in self.still_true(records).await? {
                    match record {
                        Record::Cache(cache) => caches.add(stamp, cache),
                        record => piece.add(stamp, record),
                    }
                }
                merged.push(key);
                if piece.bytes >= PIECE_BYTES {
                    self.write_records(std::mem::take(&mut piece).into_records()).await?;
                }
            }
        }
        let (deletions, states) = caches.into_records();
        states.into_iter().for_each(|(stamp, record)| piece.add(stamp, record));
        self.write_records(piece.into_records()).await?;
        // By themselves: the next merging must know of all of them, and leaves out objects that have become large.
        self.write_records(deletions).await?;
        for key in merged {
            self.chore.renew().await?;
            self.collector.journal.storage().delete(&key).await?;
            self.report.records_merged += 1;
        }
        Ok(())
    }

    async fn write_records(&self, records: Vec<StampedRecord>) -> Result<(), CollectError> {
        let (at, records) = in_order(records);
        Ok(self.collector.journal.record(at, records).await?)
    }

    async fn small_objects(&self) -> Result<Vec<Object>, CollectError> {
        let storage = self.collector.journal.storage();
        let small = storage.list("records/").try_filter(|(_, size)| std::future::ready(*size < SMALL_BYTES));
        Ok(small.take(MAX_OBJECTS).try_collect().await?)
    }

    /// What an object says; `None` if it is gone or damaged, which is for the inspection to tell, or has records of kinds that are
    /// not known here.
    async fn object(&self, object: Object) -> Result<(Object, Option<Vec<StampedRecord>>), CollectError> {
        let (key, size) = &object;
        let bytes = match self.collector.journal.storage().read(key, 0..*size).await {
            Ok(bytes) => bytes,
            Err(error) if fetch::is_damage(&error) => return Ok((object, None)),
            Err(error) => return Err(error.into()),
        };
        let is_ours = pack::name(key).is_some_and(|name| pack::records_key(name) == *key);
        let records = decode(&bytes).ok().flatten().filter(|_| is_ours);
        Ok((object, records.map(stamped)))
    }
}

/// The records of a whole object without frames; `None` if some are of kinds that are not known here.
fn decode(bytes: &[u8]) -> Result<Option<Vec<Record>>, PackError> {
    let (rest, footer) = bytes.split_last_chunk::<FOOTER_BYTES>().ok_or(PackError::NotAPack)?;
    let footer = Footer::decode(footer)?;
    let start = usize::try_from(footer.offset).map_err(|_| PackError::NotAPack)?;
    let trailer = rest.get(start..).filter(|trailer| trailer.len() == footer.length as usize);
    footer.known_records(trailer.ok_or(PackError::NotAPack)?)
}

/// What becomes one object.
#[derive(Default)]
struct Piece {
    records: Vec<StampedRecord>,
    /// The last removal of each path: what any earlier one voids, this one voids too.
    removals: HashMap<(String, String), Stamp>,
    bytes: usize,
}

impl Piece {
    fn add(&mut self, stamp: Stamp, record: Record) {
        if let Record::Removal(Removal::Path { cache, hash }) = record {
            self.bytes += cache.len() + hash.len();
            let last = self.removals.entry((cache, hash)).or_default();
            *last = stamp.max(*last);
            return;
        }
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.bytes += bytes.len();
        self.records.push((stamp, record));
    }

    fn into_records(self) -> Vec<StampedRecord> {
        let removals = self.removals.into_iter();
        let removals = removals.map(|((cache, hash), at)| (at, Record::Removal(Removal::Path { cache, hash })));
        let mut records = self.records;
        records.extend(removals);
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_removals_of_a_path_the_last_one_stays() {
        let removal = |hash: &str| Record::Removal(Removal::Path { cache: "main".to_owned(), hash: hash.to_owned() });
        let mut piece = Piece::default();
        for (at, hash) in [(3, "a"), (9, "a"), (5, "a"), (1, "b")] {
            piece.add(Stamp(at), removal(hash));
        }
        let mut records = piece.into_records();
        records.sort_by_key(|(stamp, _)| *stamp);
        assert_eq!(records, [(Stamp(1), removal("b")), (Stamp(9), removal("a"))]);
    }

    #[test]
    fn an_object_is_read_whole_or_not_at_all() {
        let record = Record::Removal(Removal::Nar { nar_hash: "x".to_owned() });
        let object = pack::of_records(Stamp(7), [record.clone()]);
        assert_eq!(stamped(decode(&object).unwrap().unwrap()), [(Stamp(7), record)]);
        for length in [0, 10, object.len() - 1] {
            assert!(decode(&object[..length]).is_err());
        }
        assert!(decode(&object[1..]).is_err());
    }
}
