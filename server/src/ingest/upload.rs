//! Plain PUT, as `nix copy --to http://…` does it: first the NAR as a file, then its narinfo.

use database::{Cache, NarFile, NewUpload};
use formats::{Compression, FileHash, NarInfo};

use super::{BodyReader, Ingest, IngestError, PushOutcome, path::NewPathInfo};
use crate::store::Records;

/// A NAR file being put.
#[derive(Debug, Clone)]
pub struct PutNar {
    /// The last segment of its URL.
    pub file_name: String,
    /// How it is compressed.
    pub compression: Compression,
    /// The hash in its name, if that is one.
    pub file_hash: Option<FileHash>,
}

impl Ingest {
    /// Takes a NAR file. It is not visible before its narinfo comes.
    ///
    /// # Errors
    /// If the file is no NAR, is not what its name says, or cannot be stored.
    pub async fn put_nar(&self, cache: &Cache, put: PutNar, body: BodyReader) -> Result<(), IngestError> {
        let _permit = self.permit().await?;
        let wire = body.wire().clone();
        let stored = self.store_nar(cache.id, body, put.compression, None).await?;
        let file_hash = wire.hash().ok_or(IngestError::File { what: "hash" })?;
        if put.file_hash.is_some_and(|expected| expected != file_hash) {
            return Err(IngestError::File { what: "hash" });
        }
        let now = self.clock.now();
        let (unsealed, nar, record) = stored.ready(now).await?;
        let upload = NewUpload {
            cache: cache.id,
            file_name: put.file_name,
            nar_hash: nar.nar_hash,
            file_hash,
            file_size: wire.length(),
            now,
        };
        let records = Records { nars: vec![(nar, record)], uploads: vec![upload], ..Records::default() };
        self.store.commit(unsealed, records).await?;
        Ok(())
    }

    /// Takes a narinfo whose NAR was put before, or is served by this cache already.
    ///
    /// # Errors
    /// If the NAR is not there, or is not what the narinfo says.
    pub async fn put_narinfo(
        &self,
        cache: &Cache,
        narinfo: NarInfo,
        pushed_by: Option<String>,
    ) -> Result<PushOutcome, IngestError> {
        let file_name = narinfo.url.rsplit('/').next().unwrap_or_default();
        let nar = self.nar_of(cache, &narinfo, file_name).await?;
        let info = &narinfo.info;
        if nar.nar_hash != info.nar_hash {
            return Err(IngestError::NarHash { expected: info.nar_hash, found: nar.nar_hash });
        }
        if nar.nar_size != info.nar_size {
            return Err(IngestError::NarSize { expected: info.nar_size, found: nar.nar_size });
        }
        let NarInfo { info, extra, .. } = narinfo;
        self.commit_path(cache, NewPathInfo { info, extra, pushed_by }).await
    }

    async fn nar_of(&self, cache: &Cache, narinfo: &NarInfo, file_name: &str) -> Result<NarFile, IngestError> {
        if let Some(upload) = self.database.find_upload(cache.id, file_name).await? {
            if narinfo.file_hash.is_some_and(|hash| hash != upload.file_hash) {
                return Err(IngestError::File { what: "hash" });
            }
            if narinfo.file_size.is_some_and(|size| size != upload.file_size) {
                return Err(IngestError::File { what: "size" });
            }
            return Ok(upload.nar);
        }
        // A narinfo that was read from here and signed comes back with the name that it was given here.
        let served = file_name.split('.').next().and_then(|stem| format!("sha256:{stem}").parse::<FileHash>().ok());
        if let Some(hash) = served
            && let Some(nar) = self.database.find_nar_by_file_hash(cache.id, &hash).await?
        {
            return Ok(nar);
        }
        Err(IngestError::NarNotUploaded(narinfo.url.clone()))
    }
}
