//! Looking for objects that the index does not know.

use std::collections::BTreeMap;

use database::{PackId, PackName};
use futures::{StreamExt, TryStreamExt};

use super::{Examined, Finding, InspectError, Inspector};
use crate::pack::{self, MAGIC};

/// How many names are looked up together.
const PAGE: usize = 1000;
/// How many unknown packs are remembered.
const MAX_UNKNOWN: usize = 100_000;

impl Inspector {
    /// Packs in the storage that the index does not have now; and objects among them that are no packs.
    pub(super) async fn unknown_packs(
        &self,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<BTreeMap<PackName, u64>, InspectError> {
        let (mut unknown, mut has_any) = (BTreeMap::new(), false);
        let mut pages = self.storage().list("packs/").try_chunks(PAGE);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| error.1)?;
            has_any = true;
            let mut packs = Vec::with_capacity(page.len());
            for (key, size) in page {
                match pack::name(&key).filter(|&name| pack::key(name) == key) {
                    Some(name) => packs.push((name, size)),
                    None => found(Finding::ObjectUnknown { key: key.to_string(), size }),
                }
            }
            let names: Vec<PackName> = packs.iter().map(|(name, _)| *name).collect();
            let rows = self.database.find_packs(&names).await?;
            let without_row = packs.into_iter().zip(rows).filter(|(_, row)| row.is_none()).map(|(pack, _)| pack);
            unknown.extend(without_row.take(MAX_UNKNOWN.saturating_sub(unknown.len())));
        }
        if !has_any && !self.database.list_packs(PackId(0), 1).await?.is_empty() {
            return Err(InspectError::NothingThere);
        }
        Ok(unknown)
    }

    /// Those of the packs that the index still does not have, and the storage still has.
    pub(super) async fn still_unknown(
        &self,
        unknown: BTreeMap<PackName, u64>,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<(), InspectError> {
        let names: Vec<PackName> = unknown.keys().copied().collect();
        for batch in names.chunks(PAGE) {
            for (pack, row) in batch.iter().zip(self.database.find_packs(batch).await?) {
                if row.is_none()
                    && let Some(size) = self.storage().size(&pack::key(*pack)).await?
                {
                    found(Finding::PackUnknown { pack: *pack, size });
                }
            }
        }
        Ok(())
    }

    /// Looks at the objects that have records only: nothing in the index refers to them, and the index could not be made anew
    /// without them.
    pub(super) async fn record_objects(
        &self,
        examined: &mut Examined,
        found: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<(), InspectError> {
        let mut objects = self.storage().list("records/");
        while let Some((key, size)) = objects.try_next().await? {
            examined.record_objects += 1;
            examined.bytes += size;
            let magic = self.read_or_nothing(&key, 0..MAGIC.len() as u64).await?;
            let why = match self.records_at(&key, size).await? {
                Err(error) => error.to_string(),
                Ok(_) if magic.as_deref() != Some(&MAGIC[..]) => "it does not begin as a pack does".to_owned(),
                Ok(_) => continue,
            };
            if self.storage().size(&key).await?.is_some() {
                found(Finding::RecordsDamaged { key: key.to_string(), why });
            }
        }
        Ok(())
    }
}
