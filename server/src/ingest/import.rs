//! Paths that are fetched rather than pushed: an import asks first whether the NAR is there, and fetches it only if it is not.

use bytes::Bytes;
use database::{Cache, PathOutcome};
use formats::{Compression, FileHash, PathInfo};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{BodyReader, Ingest, IngestError, PushOutcome, WireDigest, decode, path::NewPathInfo};
use crate::store::Records;

/// A path to be imported.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The path.
    pub info: PathInfo,
    /// Keys of its narinfo that Nix does not define.
    pub extra: Vec<(String, String)>,
    /// Who pushed it to where it comes from.
    pub pushed_by: Option<String>,
}

/// The file that a NAR to be imported is in.
pub struct ImportedFile {
    /// How it is compressed.
    pub compression: Compression,
    /// Its hash, if that was said.
    pub hash: Option<FileHash>,
    /// Its length in bytes, if that was said.
    pub size: Option<u64>,
    /// Its bytes.
    pub body: stream::BoxStream<'static, std::io::Result<Bytes>>,
}

impl Ingest {
    /// Takes a path whose NAR is in the index; `None` if it is not.
    ///
    /// # Errors
    /// If the NAR that is there has another size, or the path cannot be committed.
    pub async fn import_known(&self, cache: &Cache, path: &Imported) -> Result<Option<PushOutcome>, IngestError> {
        let Some(nar) = self.database.find_nar(&path.info.nar_hash).await? else { return Ok(None) };
        if nar.nar_size != path.info.nar_size {
            return Err(IngestError::NarSize { expected: path.info.nar_size, found: nar.nar_size });
        }
        self.commit_path(cache, path.clone().into()).await.map(Some)
    }

    /// Takes a path and its NAR.
    ///
    /// # Errors
    /// If the file is not what was said of it, the NAR not what `path` says, or it cannot be stored. Nothing is visible then.
    pub async fn import_nar(
        &self,
        cache: &Cache,
        path: Imported,
        file: ImportedFile,
    ) -> Result<PushOutcome, IngestError> {
        let expected = (path.info.nar_hash, path.info.nar_size);
        let _alone = self.alone_with(expected.0).await;
        let _permit = self.permit().await?;
        // Another path of this import may have brought it meanwhile.
        if let Some(outcome) = self.import_known(cache, &path).await? {
            return Ok(outcome);
        }
        let wire = WireDigest::hashing();
        let body = BodyReader::new(file.body, self.limits.max_upload_size, self.limits.body_idle_timeout, wire.clone());
        let stored = self.store_nar(cache.id, body, file.compression, Some(expected)).await?;
        if file.size.is_some_and(|size| size != wire.length()) {
            return Err(IngestError::File { what: "size" });
        }
        if file.hash.is_some_and(|hash| Some(hash) != wire.hash()) {
            return Err(IngestError::File { what: "hash" });
        }
        let (unsealed, nar, record) = stored.ready(self.clock.now()).await?;
        let name = path.info.path.clone();
        let records = Records {
            nars: vec![(nar, record)],
            paths: vec![self.path_record(cache, path.into())],
            ..Records::default()
        };
        let outcomes = self.store.commit(unsealed, records).await?;
        outcomes.iter().for_each(|outcome| Self::note(cache, &name, expected.1, *outcome));
        Ok(match outcomes.first() {
            Some(PathOutcome::KeptOther) => PushOutcome::KeptOther,
            _ => PushOutcome::Stored,
        })
    }
}

/// The bytes of a file, decoded: for NARs that lie in several files, each compressed by itself.
pub fn decoded<S>(compression: Compression, body: S) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
{
    let reader = decode(compression, Box::pin(StreamReader::new(body.boxed())));
    ReaderStream::with_capacity(reader, 64 << 10).into_stream()
}

impl From<Imported> for NewPathInfo {
    fn from(path: Imported) -> Self {
        let Imported { info, extra, pushed_by } = path;
        Self { info, extra, pushed_by }
    }
}
