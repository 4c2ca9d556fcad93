//! Documents: logs, realisations, listings, debuginfo links.

use database::{Cache, DocumentKind, NewDocument};
use tokio::io::AsyncReadExt;

use super::{
    BodyError, BodyReader, Ingest, IngestError, body, decode,
    storing::{manifest, pieces},
};
use crate::{
    pack::{DocumentAbout, DocumentRecord},
    store::{FileDigest, Records},
};
use formats::Compression;

impl Ingest {
    /// The decoded body of a document or narinfo, `limit` bytes at the most.
    ///
    /// # Errors
    /// If it does not arrive, cannot be decoded, or is larger.
    pub async fn read_small(
        &self,
        body: BodyReader,
        compression: Compression,
        limit: u64,
    ) -> Result<Vec<u8>, IngestError> {
        let mut bytes = Vec::new();
        let read = decode(compression, body.into_reader()).take(limit + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| match body::inner(&error) {
            Some(error) => IngestError::Body(error),
            None => IngestError::Compression(error.to_string()),
        })?;
        if bytes.len() as u64 > limit {
            return Err(IngestError::Body(BodyError::TooLarge(limit)));
        }
        Ok(bytes)
    }

    /// Takes a document; one of the same kind and name is replaced.
    ///
    /// # Errors
    /// If it is too large or cannot be stored.
    pub async fn put_document(
        &self,
        cache: &Cache,
        kind: DocumentKind,
        name: String,
        compression: Compression,
        body: BodyReader,
    ) -> Result<(), IngestError> {
        let _permit = self.permit().await?;
        let bytes = self.read_small(body, compression, self.limits.max_document_size).await?;
        let lane = self.store.lane(cache.id);
        let placed = self.store.put(&lane, pieces(&bytes), &mut FileDigest::default()).await?;
        let frames = self.store.settle(&lane, &placed).await?;
        let pointers = self.store.pointers(&placed, &frames).await?;
        let now = self.clock.now();
        let about = DocumentAbout {
            cache: cache.name.to_string(),
            kind: kind.as_str().to_owned(),
            name: name.clone(),
            at: now.0,
        };
        let record = DocumentRecord { about, manifest: manifest(&placed) };
        let size = bytes.len() as u64;
        let document = NewDocument { cache: cache.id, kind, name, manifest: pointers, size, now };
        self.store.commit(frames, Records { documents: vec![(document, record)], ..Records::default() }).await?;
        Ok(())
    }
}
