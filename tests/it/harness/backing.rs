//! Where a server under test keeps its packs: `FLYWHEEL_TEST_STORAGE` says it.
//!
//! Unset, in a folder. `s3`: in a bucket of a service in this process, one for each server. With `FLYWHEEL_TEST_S3_ENDPOINT` as well:
//! in the bucket `flywheel` of the service at that address, under a prefix of the server's own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bucket::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY, Service};
use futures::TryStreamExt;
use s3::{Login, Options, S3Storage};
use storage::{Key, Storage};

/// Where a server keeps its packs.
#[derive(Debug)]
pub(crate) enum Backing {
    /// In `store/` in its data folder.
    Folder,
    /// At a service of its own, whose files are in `store/` in its data folder too.
    Own(Box<Service>),
    /// At somebody else's service.
    Elsewhere {
        /// Its address.
        endpoint: String,
        /// What stands before the keys.
        prefix: String,
    },
}

impl Backing {
    /// What the environment asks for.
    pub(super) fn asked(data_dir: &Path) -> Self {
        match std::env::var("FLYWHEEL_TEST_STORAGE").as_deref() {
            Err(_) | Ok("" | "local") => Self::Folder,
            Ok("s3") => match std::env::var("FLYWHEEL_TEST_S3_ENDPOINT") {
                Ok(endpoint) if !endpoint.is_empty() => {
                    Self::Elsewhere { endpoint, prefix: format!("it-{:016x}", super::seed::fresh()) }
                }
                _ => Self::own(data_dir),
            },
            Ok(other) => panic!("FLYWHEEL_TEST_STORAGE is local or s3, not {other}"),
        }
    }

    /// A service of its own, whatever the environment asks for.
    pub(super) fn own(data_dir: &Path) -> Self {
        Self::Own(Box::new(Service::start(data_dir.join("store"))))
    }

    /// What `server.toml` has to say for it.
    pub(super) fn config(&self) -> Option<String> {
        let (endpoint, prefix) = match self {
            Self::Folder => return None,
            Self::Own(service) => (service.endpoint(), ""),
            Self::Elsewhere { endpoint, prefix } => (endpoint.clone(), prefix.as_str()),
        };
        Some(format!(
            "[storage]\ntype = \"s3\"\nregion = \"{REGION}\"\nbucket = \"{BUCKET}\"\nendpoint = \"{endpoint}\"\n\
             [storage.credentials]\naccess_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
             [flywheel.s3]\nprefix = \"{prefix}\"\n"
        ))
    }

    /// Whether the server itself has the objects as files.
    pub(crate) const fn is_folder(&self) -> bool {
        matches!(self, Self::Folder)
    }

    /// The folder that has the objects as files, if one has.
    pub(crate) fn files(&self, data_dir: &Path) -> Option<PathBuf> {
        match self {
            Self::Folder => Some(data_dir.join("store/objects")),
            Self::Own(service) => Some(service.objects()),
            Self::Elsewhere { .. } => None,
        }
    }

    /// The store itself, if it is a bucket.
    pub(crate) async fn storage(&self) -> Option<S3Storage> {
        let (endpoint, prefix) = match self {
            Self::Folder => return None,
            Self::Own(service) => (service.endpoint(), String::new()),
            Self::Elsewhere { endpoint, prefix } => (endpoint.clone(), prefix.clone()),
        };
        let login = Login::Keys { id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.to_owned() };
        Some(S3Storage::new(Options { login, prefix, ..Options::new(BUCKET, REGION, Some(endpoint)) }).await)
    }

    /// Every object with its length.
    pub(crate) fn objects(&self, data_dir: &Path) -> BTreeMap<Key, u64> {
        if let Some(folder) = self.files(data_dir) {
            let mut found = BTreeMap::new();
            collect(&folder, &folder, &mut found);
            return found;
        }
        let list = async {
            let storage = self.storage().await.expect("a bucket");
            storage.list("").try_collect().await.expect("the bucket is listed")
        };
        // The test may be in a runtime of its own, which must not be blocked on from inside.
        let blocked = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(list);
        std::thread::scope(|scope| scope.spawn(blocked).join().expect("the bucket is listed"))
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<Key, u64>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.metadata().unwrap() {
            about if about.is_dir() => collect(root, &entry.path(), found),
            about => {
                let path = entry.path();
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().parse().unwrap();
                found.insert(key, about.len());
            }
        }
    }
}
