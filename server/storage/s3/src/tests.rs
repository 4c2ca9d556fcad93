//! The bucket against real services: one in this process that is disturbed on purpose, and Garage where there is one.

mod chaos;
mod garage;
mod refusals;
mod writing;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bucket::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY, Service};
use storage::{Key, Storage};
use tempfile::TempDir;

use crate::{Login, Observer, Options, Outcome, S3Storage};

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// The options for a service of ours, with parts as small as they may be and waits that suit a test.
fn options(endpoint: String) -> Options {
    Options {
        login: Login::Keys { id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.to_owned() },
        part_size: 5 << 20,
        timeout: Duration::from_secs(10),
        ..Options::new(BUCKET, REGION, Some(endpoint))
    }
}

/// A service in this process.
struct Lab {
    service: Service,
    requests: Arc<Mutex<BTreeMap<String, u32>>>,
    _folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path().join("s3"));
        Self { service, requests: Arc::default(), _folder: folder }
    }

    fn options(&self) -> Options {
        let requests = Arc::clone(&self.requests);
        let count = move |request: crate::Request| {
            let name = match request.outcome {
                Outcome::Done => request.operation.to_owned(),
                other => format!("{} {}", request.operation, other.name()),
            };
            *requests.lock().unwrap().entry(name).or_default() += 1;
        };
        Options { observer: Observer::new(count), ..options(self.service.endpoint()) }
    }

    async fn storage(&self) -> S3Storage {
        S3Storage::new(self.options()).await
    }

    /// The requests since this was last asked, as `operation count`.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap()).iter().map(|(name, n)| format!("{name} {n}")).collect()
    }

    /// How many files of parts lie about.
    fn part_files(&self) -> usize {
        let entries = std::fs::read_dir(self.service.root()).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.file_name().to_string_lossy().contains(".part-")).count()
    }
}

fn bytes(length: usize, seed: u64) -> bytes::Bytes {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut body = Vec::with_capacity(length + 8);
    while body.len() < length {
        body.extend_from_slice(&next());
    }
    body.truncate(length);
    body.into()
}

async fn whole(storage: &S3Storage, name: &str) -> bytes::Bytes {
    let size = storage.size(&key(name)).await.unwrap().unwrap();
    storage.read(&key(name), 0..size).await.unwrap()
}

/// A store of its own in one bucket, each time it is called.
async fn prefixed(options: Options) -> S3Storage {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("tests/{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    S3Storage::new(Options { prefix, ..options }).await
}

#[tokio::test]
async fn conforms() {
    let lab = Lab::new();
    storage::conformance::all(|| prefixed(lab.options())).await;
}
