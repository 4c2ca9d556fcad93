//! Taking in a NAR that is in quarantine, from wherever its bytes come.

use database::CacheId;
use formats::{Compression, NarHash};

use super::{BodyReader, Ingest, IngestError};
use crate::store::Records;

impl Ingest {
    /// Stores the bytes of a NAR anew and shows its paths again; readers of `cache` may know of its chunks from then on.
    ///
    /// # Errors
    /// If it is not that NAR, or cannot be stored. It stays in quarantine then.
    pub async fn heal_nar(
        &self,
        cache: CacheId,
        nar_hash: NarHash,
        nar_size: u64,
        compression: Compression,
        body: BodyReader,
    ) -> Result<(), IngestError> {
        let _alone = self.alone_with(nar_hash).await;
        let _permit = self.permit().await?;
        let stored = self.store_nar(cache, body, compression, Some((nar_hash, nar_size))).await?;
        let (unsealed, nar, record) = stored.ready(self.clock.now()).await?;
        self.store.commit(unsealed, Records { nars: vec![(nar, record)], ..Records::default() }).await?;
        Ok(())
    }
}
