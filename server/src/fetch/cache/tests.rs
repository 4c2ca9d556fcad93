use std::{
    fs,
    path::{Path, PathBuf},
};

use database::{ChunkId, PackName};

use super::*;

fn chunk(n: u8, length: usize) -> (ChunkLocation, Bytes) {
    let frame = Bytes::from(vec![n; length]);
    let check = crc32c::crc32c(&frame);
    let (id, stored_size) = (ChunkId(n.into()), u32::try_from(length).unwrap());
    (ChunkLocation { id, pack: PackName([n; 16]), offset: n.into(), stored_size, size: 1, check }, frame)
}

async fn open(folder: &Path, memory: u64, disk: u64) -> FrameCache {
    FrameCache::open(CacheSizes { memory, disk, folder: folder.to_owned() }).await.unwrap().unwrap()
}

/// Keeps a frame and waits until it was written.
async fn keep(cache: &FrameCache, chunk: &ChunkLocation, frame: &Bytes) {
    cache.keep(chunk, frame);
    while !cache.0.disk.as_ref().unwrap().is_idle() {
        tokio::task::yield_now().await;
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let shelves = fs::read_dir(folder).unwrap().map(|shelf| shelf.unwrap().path());
    shelves.flat_map(|shelf| fs::read_dir(shelf).unwrap().map(|file| file.unwrap().path())).collect()
}

#[tokio::test]
async fn what_was_kept_on_disk_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (place, frame) = chunk(1, 5000);
    let cache = open(dir.path(), 0, 1 << 20).await;
    assert!(cache.get(&[place]).await.is_empty());
    keep(&cache, &place, &frame).await;
    // Twice is once, and not never.
    keep(&cache, &place, &frame).await;
    assert_eq!(cache.get(&[place]).await, std::slice::from_ref(&frame));
    fs::write(dir.path().join("01").join("left.part"), b"half").unwrap();
    let again = open(dir.path(), 1 << 20, 1 << 20).await;
    assert_eq!(again.get(&[place]).await, std::slice::from_ref(&frame));
    assert_eq!(files(dir.path()).len(), 1);
    // By now it is in memory.
    fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(again.get(&[place]).await, [frame]);
}

#[tokio::test]
async fn what_was_deleted_or_damaged_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 0, 1 << 20).await;
    let ((first, one), (second, two)) = (chunk(1, 5000), chunk(2, 6000));
    for is_flipped in [true, false] {
        keep(&cache, &first, &one).await;
        keep(&cache, &second, &two).await;
        let file = files(dir.path()).into_iter().find(|file| file.starts_with(dir.path().join("02"))).unwrap();
        if is_flipped {
            let mut bytes = fs::read(&file).unwrap();
            bytes[77] ^= 1;
            fs::write(&file, bytes).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        assert!(cache.has(&second), "nobody has looked yet");
        assert_eq!(cache.get(&[first, second]).await, std::slice::from_ref(&one));
        assert!(!cache.has(&second) && !file.exists());
        assert!(cache.get(&[second, first]).await.is_empty(), "what comes behind a gap is not wanted");
    }
    // The folder comes back by itself.
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(cache.get(&[first]).await.is_empty());
    keep(&cache, &first, &one).await;
    assert_eq!(cache.get(&[first]).await, [one]);
}

#[tokio::test]
async fn the_sizes_are_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 0, 1 << 20).await;
    for n in 0..100 {
        let (place, frame) = chunk(n, 50_000);
        keep(&cache, &place, &frame).await;
        let bytes: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(bytes <= 1 << 20, "{bytes} bytes are kept");
        assert!(bytes >= 50_000 * u64::from(n.min(10)), "{bytes} bytes are kept after {n} frames");
    }
    let (place, frame) = chunk(101, 2 << 20);
    keep(&cache, &place, &frame).await;
    assert!(!cache.has(&place), "one that is larger than all of it");
    // Less room from now on.
    drop(cache);
    open(dir.path(), 0, 200_000).await;
    let bytes: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 200_000 && bytes > 0, "{bytes} bytes are kept");

    let memory = open(dir.path(), 1 << 20, 0).await;
    for n in 0..100 {
        let (place, frame) = chunk(n, 50_000);
        memory.keep(&place, &frame);
    }
    assert!(memory.0.memory.as_ref().unwrap().weight() <= 1 << 20);
    let nothing = CacheSizes { memory: 0, disk: 0, folder: PathBuf::new() };
    assert!(FrameCache::open(nothing).await.unwrap().is_none());
}
