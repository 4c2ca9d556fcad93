//! The records of packs that others take the place of: which of them are still true.

mod merge;

use std::collections::HashSet;

use database::{PackName, PackUse};
use formats::{NarHash, StorePath};
use protocol::Timestamp;

use super::{CollectError, Round};
use crate::{
    fetch,
    pack::{self, FOOTER_BYTES, Footer, Record, Stamp},
};

/// A record, and since when it has been true.
pub(super) type StampedRecord = (Stamp, Record);

/// What a pack says: where its frames end, and its records without those of the frames.
type Contents = (u64, Vec<StampedRecord>);

impl Round<'_> {
    /// Reads what a pack says besides its frames. `None` if it is gone, or has records of kinds that are not known here, which
    /// must not get lost.
    pub(super) async fn records(&mut self, pack: &PackUse) -> Result<Option<Contents>, CollectError> {
        let (key, storage) = (pack::key(pack.name), self.collector.journal.storage());
        let read = async {
            let start = pack.size.saturating_sub(FOOTER_BYTES as u64);
            let footer = match Footer::decode(&storage.read(&key, start..pack.size).await?) {
                Ok(footer) => footer,
                Err(error) => return Ok::<_, storage::Error>(Err(error)),
            };
            let trailer = storage.read(&key, footer.offset..footer.offset + u64::from(footer.length)).await?;
            Ok(Ok((footer, trailer)))
        };
        let records = match read.await {
            Ok(read) => read.and_then(|(footer, trailer)| Ok((footer.offset, footer.known_records(&trailer)?))),
            // Found by the search for strays, too, which says so.
            Err(error) if fetch::is_damage(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (frames_end, records) = match records {
            Ok((frames_end, Some(records))) => (frames_end, records),
            Ok((_, None)) => {
                tracing::warn!(pack.name = %pack.name, "a pack has records of a newer version and is left as it is");
                return Ok(None);
            }
            Err(error) => {
                tracing::error!(pack.name = %pack.name, %error, "a pack cannot be read and is left as it is");
                return Ok(None);
            }
        };
        Ok(Some((frames_end, stamped(records))))
    }

    /// Those records that the index agrees with.
    pub(super) async fn still_true(&self, records: Vec<StampedRecord>) -> Result<Vec<StampedRecord>, CollectError> {
        let mut kept = Vec::new();
        for (stamp, record) in records {
            if self.is_true(&record).await? {
                kept.push((stamp, record));
            }
        }
        Ok(kept)
    }

    async fn is_true(&self, record: &Record) -> Result<bool, CollectError> {
        let database = self.database();
        Ok(match record {
            Record::Chunk(_) | Record::Stamp(_) => false,
            Record::Nar(nar) => database.file_of_nar(&nar.nar_hash).await? == Some(nar.file_hash),
            Record::Path(path) => {
                let (Ok(store_path), Ok(nar)) = (path.path.parse::<StorePath>(), path.nar_hash.parse::<NarHash>())
                else {
                    return Ok(false);
                };
                database.nar_of_path(&path.cache, store_path.hash()).await? == Some(nar)
            }
            Record::Document(document) => {
                let about = &document.about;
                let at = database.time_of_document(&about.cache, &about.kind, &about.name).await?;
                at == Some(Timestamp(about.at))
            }
            Record::Damage(damage) => {
                let name = data_encoding::HEXLOWER.decode(damage.pack.as_bytes()).ok();
                match name.and_then(|name| name.try_into().ok()) {
                    Some(name) => database.find_pack(PackName(name)).await?.is_some(),
                    None => false,
                }
            }
            // Other packs may have what these void.
            Record::Cache(_)
            | Record::Removal(_)
            | Record::KeptOut(_)
            | Record::Promotion(_)
            | Record::Revocation(_) => true,
        })
    }
}

/// The records of a trailer, each with its stamp.
fn stamped(records: Vec<Record>) -> Vec<StampedRecord> {
    let mut stamp = None;
    let mut stamped = Vec::new();
    for record in records {
        match record {
            Record::Chunk(_) => {}
            Record::Stamp(at) => stamp = Some(at),
            record => stamped.push((stamp.unwrap_or_else(|| own_stamp(&record)), record)),
        }
    }
    stamped
}

/// When a record from before there were stamps became true, as far as it says so.
fn own_stamp(record: &Record) -> Stamp {
    match record {
        Record::Nar(nar) => Stamp::of(Timestamp(nar.at.unwrap_or(0))),
        Record::Path(path) => Stamp::of(Timestamp(path.at)),
        Record::Document(document) => Stamp::of(Timestamp(document.about.at)),
        _ => Stamp::default(),
    }
}

/// The records in the order in which they became true, as a trailer has them: the first stamp, then the records with every
/// further stamp in front of those that it is about. A record that stands in several packs is written once.
pub(super) fn in_order(mut records: Vec<StampedRecord>) -> (Stamp, Vec<Record>) {
    records.sort_by_key(|(stamp, _)| *stamp);
    let first = records.first().map_or(Stamp::default(), |(stamp, _)| *stamp);
    let mut current = first;
    let mut nars = HashSet::new();
    let mut out = Vec::new();
    for (stamp, record) in records {
        if let Record::Nar(nar) = &record
            && !nars.insert((nar.nar_hash.hex(), nar.file_hash.hex()))
        {
            continue;
        }
        if stamp != current {
            out.push(Record::Stamp(stamp));
            current = stamp;
        }
        out.push(record);
    }
    (first, out)
}

#[cfg(test)]
mod tests {
    use crate::pack::Removal;

    use super::*;

    fn removal(name: &str) -> Record {
        Record::Removal(Removal::Nar { nar_hash: name.to_owned() })
    }

    #[test]
    fn stamps_stand_in_front_of_what_they_are_about() {
        let records = vec![
            (Stamp(3), removal("c")),
            (Stamp(1), removal("a")),
            (Stamp(3), removal("d")),
            (Stamp(1), removal("b")),
        ];
        let (first, rest) = in_order(records);
        assert_eq!(first, Stamp(1));
        let expected = [removal("a"), removal("b"), Record::Stamp(Stamp(3)), removal("c"), removal("d")];
        assert_eq!(rest, expected);
        assert_eq!(in_order(Vec::new()), (Stamp(0), Vec::new()));
    }
}
