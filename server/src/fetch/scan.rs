//! Reading a NAR as it is stored, only to look at it.

use std::sync::Arc;

use database::NarFile;
use futures::TryStreamExt;

use super::{Extent, Fetch, FetchError};
use crate::store::Decompressor;

/// How much is looked at at once: what one who looks has just read is still near the processor when the next one reads it.
const PIECE_BYTES: usize = 64 << 10;

impl Fetch {
    /// Hands the bytes of a NAR to `look`, piece by piece and in order, on threads that may block.
    ///
    /// # Errors
    /// As [`Fetch::nar`]: on damage the NAR is quarantined.
    pub async fn scan<S: Send + 'static>(
        &self,
        nar: &NarFile,
        decompressor: &Arc<Decompressor>,
        state: S,
        look: fn(&mut S, &[u8]),
    ) -> Result<S, FetchError> {
        match self.looked_at(nar, decompressor, state, look).await {
            Ok(state) => Ok(state),
            Err(error) => Err(self.report(Some(nar), error).await),
        }
    }

    async fn looked_at<S: Send + 'static>(
        &self,
        nar: &NarFile,
        decompressor: &Arc<Decompressor>,
        mut state: S,
        look: fn(&mut S, &[u8]),
    ) -> Result<S, FetchError> {
        let chunks = self.database.locate_chunks(&nar.manifest).await?;
        let mut extents = self.extents(&chunks);
        // What is read together is looked at together; the next of it is read meanwhile.
        while let Some((chunks, bytes)) = extents.try_next().await? {
            let decompressor = Arc::clone(decompressor);
            let looked = tokio::task::spawn_blocking(move || {
                for (chunk, frame) in Extent::of(&chunks).split(&bytes) {
                    let plain = decompressor.decompress_frame(&frame, chunk.size);
                    let plain = plain.map_err(|_| FetchError::Damaged { chunks: vec![chunk.id] })?;
                    plain.chunks(PIECE_BYTES).for_each(|piece| look(&mut state, piece));
                }
                Ok::<_, FetchError>(state)
            });
            state = looked.await.unwrap_or_else(|stopped| std::panic::resume_unwind(stopped.into_panic()))?;
        }
        Ok(state)
    }
}
