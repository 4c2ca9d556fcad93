//! Documents: logs, realisations, listings, debuginfo links.

use database::{Cache, DocumentKind, NewDocument};
use futures::TryStreamExt;
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

/// How many documents that came together are stored at a time.
const DOCUMENTS_AT_A_TIME: usize = 32;

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
        self.keep_document(cache, kind, name, &bytes).await
    }

    /// Takes documents that are at hand, several at once so that they share commits.
    ///
    /// # Errors
    /// If one cannot be stored; others may be there then.
    pub async fn keep_documents(
        &self,
        cache: &Cache,
        kind: DocumentKind,
        documents: Vec<(String, Vec<u8>)>,
    ) -> Result<(), IngestError> {
        let _permit = self.permit().await?;
        futures::stream::iter(documents.into_iter().map(Ok))
            .try_for_each_concurrent(DOCUMENTS_AT_A_TIME, |(name, bytes)| async move {
                self.keep_document(cache, kind, name, &bytes).await
            })
            .await
    }

    async fn keep_document(
        &self,
        cache: &Cache,
        kind: DocumentKind,
        name: String,
        bytes: &[u8],
    ) -> Result<(), IngestError> {
        let lane = self.store.lane(cache.id);
        let placed = self.store.put(&lane, pieces(bytes), &mut FileDigest::default()).await?;
        let unsealed = self.store.settle(&lane, &placed, true).await?;
        let pointers = self.store.pointers(&placed, unsealed.hashes()).await?;
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
        self.store.commit(unsealed, Records { documents: vec![(document, record)], ..Records::default() }).await?;
        Ok(())
    }
}
