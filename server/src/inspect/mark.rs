//! Telling the index of damage, as reading does.

use database::{ChunkLocation, NarRow};
use protocol::Timestamp;

use super::{InspectError, Inspector, Marked, nar::NarLook, pack::PackLook};

impl Inspector {
    async fn mark_chunks(
        &self,
        damaged: &[ChunkLocation],
        now: Timestamp,
        marked: &mut Marked,
    ) -> Result<(), InspectError> {
        if damaged.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = damaged.iter().map(|chunk| chunk.id).collect();
        self.database.mark_damaged(&ids, now).await?;
        self.journal.damaged(damaged).await;
        metrics::counter!(crate::metrics::DAMAGED_CHUNKS).increment(damaged.len() as u64);
        marked.chunks += damaged.len() as u64;
        Ok(())
    }

    /// Takes the damaged chunks of a pack out of deduplication.
    pub(super) async fn mark_pack(
        &self,
        look: &PackLook,
        now: Timestamp,
        marked: &mut Marked,
    ) -> Result<(), InspectError> {
        self.mark_chunks(&look.damaged, now, marked).await
    }

    /// Hides a NAR that cannot be served; forgets a listing that cannot be.
    pub(super) async fn mark_nar(
        &self,
        nar: &NarRow,
        look: &NarLook,
        now: Timestamp,
        marked: &mut Marked,
    ) -> Result<(), InspectError> {
        self.mark_chunks(&look.damaged, now, marked).await?;
        if look.is_damaged {
            self.database.quarantine_nar(nar.id, now).await?;
            marked.nars += 1;
        }
        if look.listing_is_damaged
            && let Some(was) = &nar.listing
        {
            let dropped = match was {
                Ok(was) => self.database.set_listing(nar.id, Some(was), None).await?,
                // Nothing that could be compared, and nothing that could be served either.
                Err(_) => false,
            };
            marked.listings += u64::from(dropped);
        }
        Ok(())
    }
}
