//! One path's way to the cache over Attic's API.

use std::{fmt, io, ops::ControlFlow, path::Path, sync::Arc};

use bytes::Bytes;
use formats::{NarHash, PathInfo, StorePath};
use protocol::{
    CacheName,
    attic::{UploadPathNarInfo, UploadPathResult},
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::rate::RateLimit;
use crate::{
    api::{Api, ApiError, MetadataStyle, NarBody},
    nix::{DumpError, LocalStore, dump},
    report::{Event, Reporter},
    retry::{Again, Retryable, retry},
};

/// How many pieces of a NAR wait between the disk and the network.
const PIECES_AHEAD: usize = 4;

/// What the server made of a path.
pub type Uploaded = UploadPathResult;

/// A path could not be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The path cannot be read from the local store.
    #[error("cannot read the store path")]
    Read(#[from] DumpError),
    /// What lies in the local store is not what Nix registered.
    #[error("the store path is damaged: its NAR has {found}, registered is {registered}")]
    Damaged {
        /// What Nix says it is.
        registered: NarIdentity,
        /// What it is.
        found: NarIdentity,
    },
    /// The request failed.
    #[error("the upload failed")]
    Api(#[from] ApiError),
}

/// Size and hash of a NAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NarIdentity {
    /// The size in bytes.
    pub size: u64,
    /// The hash.
    pub hash: NarHash,
}

impl fmt::Display for NarIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes and {}", self.size, self.hash)
    }
}

impl Retryable for UploadError {
    fn again(&self) -> Again {
        match self {
            Self::Api(error) => error.again(),
            Self::Read(_) | Self::Damaged { .. } => Again::Never,
        }
    }
}

/// Everything that the uploads of one push share.
pub(super) struct Uploader {
    pub(super) api: Api,
    pub(super) store: Arc<dyn LocalStore>,
    pub(super) reporter: Arc<dyn Reporter>,
    pub(super) cache: CacheName,
    pub(super) style: MetadataStyle,
    pub(super) rate: Option<Arc<RateLimit>>,
}

impl Uploader {
    /// Uploads a path, again and again as far as the retry policy goes.
    pub(super) async fn upload(&self, info: &PathInfo) -> Result<Uploaded, UploadError> {
        let metadata = metadata(&self.cache, info, self.store.as_ref());
        let waiting = |failed, wait, error: &UploadError| {
            self.reporter.report(Event::Waiting { path: &info.path, failed, wait, error });
        };
        retry(self.api.retry_policy(), || self.attempt(info, &metadata), waiting).await
    }

    async fn attempt(&self, info: &PathInfo, metadata: &UploadPathNarInfo) -> Result<Uploaded, UploadError> {
        let path = &info.path;
        self.reporter.report(Event::Started { path, nar_size: info.nar_size });
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let contents = self.store.contents(path);
        let registered = NarIdentity { size: info.nar_size, hash: info.nar_hash };
        let rate = self.rate.clone();
        let reading = tokio::task::spawn_blocking(move || send_nar(&contents, registered, rate.as_deref(), &pieces));
        let nar = NarBody::new(received, self.sent(path.clone()));
        let answer = self.api.upload_path(metadata, self.style, nar).await;
        // The body is gone, so the reader is at its end or finds the channel closed.
        match reading.await {
            Ok(Ok(())) => Ok(answer?),
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn sent(&self, path: StorePath) -> impl Fn(u64) + Send + Sync + 'static {
        let (reporter, api) = (Arc::clone(&self.reporter), self.api.clone());
        move |bytes| {
            api.count_sent(bytes);
            reporter.report(Event::Sent { path: &path, bytes });
        }
    }
}

/// Reads the NAR of `contents` into `pieces`, and lets its last piece go only if the whole was what Nix registered.
///
/// So a server never takes a damaged path for whole: the request breaks off before its end.
fn send_nar(
    contents: &Path,
    registered: NarIdentity,
    rate: Option<&RateLimit>,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), UploadError> {
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut held: Option<Bytes> = None;
    let dumped = dump(contents, &mut |piece: Bytes| {
        hasher.update(&piece);
        size += piece.len() as u64;
        if let Some(rate) = rate {
            std::thread::sleep(rate.reserve(piece.len()));
        }
        match held.replace(piece).map(|piece| pieces.blocking_send(Ok(piece))) {
            None | Some(Ok(())) => ControlFlow::Continue(()),
            // The request is over, for whatever reason: it knows better than we do.
            Some(Err(_closed)) => ControlFlow::Break(()),
        }
    });
    let broken = |error: UploadError| {
        // Nobody may be listening any more, which is as good.
        let _ = pieces.blocking_send(Err(io::Error::other("the NAR could not be read")));
        Err(error)
    };
    match dumped {
        Err(error) => return broken(error.into()),
        Ok(ControlFlow::Break(())) => return Ok(()),
        Ok(ControlFlow::Continue(())) => {}
    }
    let found = NarIdentity { size, hash: NarHash::from_bytes(hasher.finalize().into()) };
    if found != registered {
        return broken(UploadError::Damaged { registered, found });
    }
    if let Some(last) = held {
        let _ = pieces.blocking_send(Ok(last));
    }
    Ok(())
}

pub(super) fn metadata(cache: &CacheName, info: &PathInfo, store: &dyn LocalStore) -> UploadPathNarInfo {
    UploadPathNarInfo {
        cache: cache.clone(),
        store_path_hash: info.path.hash().to_string(),
        store_path: store.store_dir().join(&info.path),
        references: info.references.iter().map(ToString::to_string).collect(),
        system: None,
        deriver: info.deriver.as_ref().map(ToString::to_string),
        sigs: info.signatures.iter().map(ToString::to_string).collect(),
        ca: info.ca.as_ref().map(ToString::to_string),
        nar_hash: format!("sha256:{}", info.nar_hash.hex()),
        nar_size: info.nar_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contents: &Path, registered: NarIdentity) -> (Vec<io::Result<Bytes>>, Result<(), UploadError>) {
        let (pieces, mut received) = mpsc::channel(1024);
        let result = send_nar(contents, registered, None, &pieces);
        drop(pieces);
        (std::iter::from_fn(|| received.blocking_recv()).collect(), result)
    }

    #[test]
    fn a_damaged_path_never_goes_out_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![7; 3 << 20]).unwrap();
        let nobody = NarIdentity { size: 0, hash: NarHash::from_bytes([0; 32]) };
        let Err(UploadError::Damaged { found, .. }) = read(&file, nobody).1 else { panic!("the hash cannot be right") };

        let (pieces, result) = read(&file, found);
        assert!(result.is_ok());
        let whole: usize = pieces.iter().map(|piece| piece.as_ref().unwrap().len()).sum();
        assert_eq!(whole as u64, found.size);

        std::fs::write(&file, vec![8; 3 << 20]).unwrap();
        let (pieces, result) = read(&file, found);
        assert!(matches!(result, Err(UploadError::Damaged { registered, .. }) if registered == found));
        let (last, before) = pieces.split_last().unwrap();
        assert!(last.is_err());
        assert!(before.iter().map(|piece| piece.as_ref().unwrap().len() as u64).sum::<u64>() < found.size);
    }

    #[test]
    fn an_unreadable_path_breaks_the_body_off() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = NarIdentity { size: 0, hash: NarHash::from_bytes([0; 32]) };
        let (pieces, result) = read(&folder.path().join("absent"), nobody);
        assert!(matches!(result, Err(UploadError::Read(_))));
        assert!(matches!(&pieces[..], [Err(_)]));
    }

    #[test]
    fn a_closed_request_is_not_the_readers_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, vec![7; 3 << 20]).unwrap();
        let (pieces, received) = mpsc::channel(1);
        drop(received);
        let nobody = NarIdentity { size: 0, hash: NarHash::from_bytes([0; 32]) };
        assert!(send_nar(&file, nobody, None, &pieces).is_ok());
    }
}
