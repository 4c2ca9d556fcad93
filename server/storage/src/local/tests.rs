use futures::TryStreamExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tempfile::tempdir;

use super::*;
use crate::MemoryStorage;

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

#[tokio::test]
async fn conforms() {
    let root = tempdir().unwrap();
    let next = AtomicU64::new(0);
    crate::conformance::all(|| {
        let folder = root.path().join(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
        async { LocalStorage::open(folder).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let dir = tempdir().unwrap();
    let first = LocalStorage::open(dir.path()).await.unwrap();
    assert!(matches!(LocalStorage::open(dir.path()).await, Err(OpenError::InUse(_))));
    drop(first);
    LocalStorage::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn objects_outlive_the_process_and_leftovers_do_not() {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).await.unwrap();
    storage.put(&key("packs/a"), Bytes::from_static(b"whole")).await.unwrap();
    let mut writer = storage.begin(&key("packs/b")).await.unwrap();
    writer.write(Bytes::from_static(b"ha")).await.unwrap();
    drop(storage);
    // As after a kill: the unfinished file stays.
    std::mem::forget(writer);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1);
    let other = tempdir().unwrap();
    // The forgotten writer keeps the lock, as a killed process would not: the folder moves on without it.
    for name in ["objects", "tmp"] {
        fs::rename(dir.path().join(name), other.path().join(name)).unwrap();
    }

    let storage = LocalStorage::open(other.path()).await.unwrap();
    assert_eq!(fs::read_dir(other.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(storage.read(&key("packs/a"), 0..5).await.unwrap(), "whole");
    assert_eq!(storage.size(&key("packs/b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_dropped_writer_removes_its_file() {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).await.unwrap();
    let mut writer = storage.begin(&key("a")).await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_cut_short_under_an_open_handle_is_truncated() {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).await.unwrap();
    storage.put(&key("a"), Bytes::from_static(b"0123456789")).await.unwrap();
    storage.read(&key("a"), 0..10).await.unwrap();
    File::options().write(true).open(dir.path().join("objects/a")).unwrap().set_len(4).unwrap();
    let error = storage.read(&key("a"), 2..10).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { wanted: 8, got: 2, .. }), "{error}");
}

#[tokio::test]
async fn directories_that_were_tidied_away_are_made_again() {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).await.unwrap();
    storage.put(&key("a/b/c"), Bytes::from_static(b"1")).await.unwrap();
    fs::remove_dir_all(dir.path().join("objects/a")).unwrap();
    storage.put(&key("a/b/d"), Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(storage.read(&key("a/b/d"), 0..1).await.unwrap(), "2");
}

#[tokio::test]
async fn foreign_files_are_no_objects() {
    let dir = tempdir().unwrap();
    let storage = LocalStorage::open(dir.path()).await.unwrap();
    storage.put(&key("a"), Bytes::from_static(b"1")).await.unwrap();
    fs::write(dir.path().join("objects/not a key"), b"x").unwrap();
    fs::create_dir(dir.path().join("objects/folder")).unwrap();
    let found: Vec<_> = storage.list("").try_collect().await.unwrap();
    assert_eq!(found, [(key("a"), 1)]);
    assert_eq!(storage.size(&key("folder")).await.unwrap(), None);
    assert!(matches!(storage.read(&key("folder"), 0..1).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_full_or_denied_folder_says_so() {
    let full = Error::from(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
    assert!(matches!(full, Error::NoSpace(_)), "{full:?}");
    let quota = Error::from(io::Error::from_raw_os_error(rustix::io::Errno::DQUOT.raw_os_error()));
    assert!(matches!(quota, Error::NoSpace(_)), "{quota:?}");
    let read_only = Error::from(io::Error::from_raw_os_error(rustix::io::Errno::ROFS.raw_os_error()));
    assert!(matches!(read_only, Error::Denied(_)), "{read_only:?}");
    assert!(matches!(LocalStorage::open("/proc/nowhere").await, Err(OpenError::Unusable { .. })));
}

/// Whatever is asked of it in whatever order, a folder answers as memory does.
#[tokio::test]
async fn a_folder_behaves_as_memory_does() {
    let names = ["a", "b/c", "b/d", "b-", "packs/00/x", "packs/01/x"];
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let dir = tempdir().unwrap();
        let (folder, memory) = (LocalStorage::open(dir.path()).await.unwrap(), MemoryStorage::new());
        let stores: [&dyn Storage; 2] = [&folder, &memory];
        for step in 0..60 {
            let key = key(names[rng.random_range(0..names.len())]);
            let body = Bytes::from(vec![rng.random(); rng.random_range(0..2000)]);
            let (action, start, length) =
                (rng.random_range(0..8), rng.random_range(0..2200), rng.random_range(0..2200));
            let mut answers = Vec::new();
            for store in stores {
                answers.push(match action {
                    0 => format!("{:?}", store.put(&key, body.clone()).await),
                    1 | 2 => {
                        let mut writer = store.begin(&key).await.unwrap();
                        for piece in body.chunks(700) {
                            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
                        }
                        if action == 1 { format!("{:?}", writer.finish().await) } else { String::new() }
                    }
                    3 | 4 => format!("{:?}", store.read(&key, start..start + length).await),
                    5 => format!("{:?}", store.size(&key).await),
                    6 => format!("{:?}", store.delete(&key).await),
                    _ => format!("{:?}", store.list("b").try_collect::<Vec<_>>().await),
                });
            }
            assert_eq!(answers[0], answers[1], "seed {seed}, step {step}: action {action} on {key}");
        }
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "seed {seed}");
    }
}
