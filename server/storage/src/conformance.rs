//! The suite that every store must pass.
//!
//! A store's own tests are one call of [`all`] and whatever its medium adds. The functions panic where the contract of
//! [`Storage`] is broken.

use bytes::Bytes;
use futures::{TryStreamExt, future::join_all};

use crate::{Error, Key, Storage};

/// Runs the whole suite; `make` gives a store without objects each time.
pub async fn all<S: Storage, F: Future<Output = S>>(make: impl Fn() -> F) {
    put_and_read(&make().await).await;
    absent_objects(&make().await).await;
    ranges(&make().await).await;
    streams(&make().await).await;
    replacing(&make().await).await;
    deleting(&make().await).await;
    writing_in_pieces(&make().await).await;
    abandoned_writers(&make().await).await;
    listing(&make().await).await;
    concurrency(&make().await).await;
}

fn key(text: &str) -> Key {
    text.parse().expect("a valid key")
}

async fn whole(storage: &dyn Storage, name: &str) -> Bytes {
    let size = storage.size(&key(name)).await.expect("a size").expect("an object");
    storage.read(&key(name), 0..size).await.expect("its bytes")
}

async fn names(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    let found: Vec<_> = storage.list(prefix).try_collect().await.expect("a list");
    found.into_iter().map(|(key, length)| format!("{key} {length}")).collect()
}

/// What is put is read, down to the empty object.
pub async fn put_and_read(storage: &dyn Storage) {
    for (name, body) in [("a", "x"), ("deep/er/still.x", "some bytes"), ("empty", "")] {
        storage.put(&key(name), Bytes::from_static(body.as_bytes())).await.expect("put");
        assert_eq!(storage.size(&key(name)).await.expect("size"), Some(body.len() as u64), "{name}");
        assert_eq!(whole(storage, name).await, body, "{name}");
    }
}

/// That an object is absent is told, and told apart from a bad range.
pub async fn absent_objects(storage: &dyn Storage) {
    storage.put(&key("a/b"), Bytes::from_static(b"x")).await.expect("put");
    for absent in ["b", "a/c", "c/d/e", "a/b/c", "a"] {
        assert_eq!(storage.size(&key(absent)).await.expect("size"), None, "{absent}");
        for range in [0..1, 0..0, 5..9] {
            let error = storage.read(&key(absent), range).await.expect_err("no object");
            assert!(matches!(&error, Error::NotFound { key } if key.as_str() == absent), "{error:?}");
        }
    }
}

/// A read gives exactly the range or fails, however large the range is.
#[expect(clippy::reversed_empty_ranges, reason = "such a range is part of the test")]
pub async fn ranges(storage: &dyn Storage) {
    let k = key("r");
    storage.put(&k, Bytes::from_static(b"0123456789")).await.expect("put");
    for (range, body) in
        [(0..10, "0123456789"), (3..4, "3"), (9..10, "9"), (4..4, ""), (10..10, ""), (99..99, ""), (7..2, "")]
    {
        assert_eq!(storage.read(&k, range.clone()).await.expect("a part"), body, "{range:?}");
    }
    for (range, left) in [(0..11, 10), (9..12, 1), (10..11, 0), (99..100, 0), (1..u64::MAX, 9)] {
        let error = storage.read(&k, range.clone()).await.expect_err("too long a range");
        let Error::Truncated { wanted, got, .. } = error else { panic!("{range:?}: {error:?}") };
        assert_eq!((wanted, got), (range.end - range.start, left), "{range:?}");
    }
}

/// A stream's pieces make up the range, and what a read would refuse it refuses.
pub async fn streams(storage: &dyn Storage) {
    storage.ping().await.expect("ping");
    let k = key("s/t");
    let body: Bytes = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    storage.put(&k, body.clone()).await.expect("put");
    for range in [0..1_200_000, 1..1_199_999, 700_001..700_002, 5..5] {
        let pieces = storage.stream(&k, range.clone()).await.expect("a stream");
        let pieces: Vec<Bytes> = pieces.try_collect().await.expect("its pieces");
        let (start, end) = (usize::try_from(range.start).expect("small"), usize::try_from(range.end).expect("small"));
        assert!(pieces.concat() == body[start..end], "{range:?}");
    }
    let end = body.len() as u64;
    for range in [0..end + 1, end..end + 1, end + 7..end + 9] {
        let error = failure(storage, &k, range.clone()).await;
        assert!(matches!(error, Error::Truncated { .. }), "{range:?}: {error:?}");
    }
    let error = failure(storage, &key("s/u"), 0..1).await;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

async fn failure(storage: &dyn Storage, key: &Key, range: std::ops::Range<u64>) -> Error {
    match storage.stream(key, range).await {
        Ok(pieces) => pieces.try_collect::<Vec<_>>().await.expect_err("too much was asked for"),
        Err(error) => error,
    }
}

/// A second put replaces the first, for readers that had it open too.
pub async fn replacing(storage: &dyn Storage) {
    for body in ["first", "second, longer", "3rd", ""] {
        storage.put(&key("x"), Bytes::from_static(body.as_bytes())).await.expect("put");
        assert_eq!(whole(storage, "x").await, body);
    }
    let mut writer = storage.begin(&key("x")).await.expect("begin");
    writer.write(Bytes::from_static(b"written")).await.expect("write");
    assert_eq!(whole(storage, "x").await, "");
    writer.finish().await.expect("finish");
    assert_eq!(whole(storage, "x").await, "written");
}

/// What is deleted is gone, and may be deleted again.
pub async fn deleting(storage: &dyn Storage) {
    for name in ["a", "b/c"] {
        storage.put(&key(name), Bytes::from_static(b"x")).await.expect("put");
        whole(storage, name).await;
        storage.delete(&key(name)).await.expect("delete");
        storage.delete(&key(name)).await.expect("delete what is absent");
        let error = storage.read(&key(name), 0..1).await.expect_err("gone");
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }
    storage.delete(&key("never/was/there")).await.expect("delete what never was");
    assert_eq!(names(storage, "").await, Vec::<String>::new());
}

/// A writer's pieces become one object, which is invisible until it is finished.
pub async fn writing_in_pieces(storage: &dyn Storage) {
    let mut writer = storage.begin(&key("big/one")).await.expect("begin");
    let mut expected = Vec::new();
    for i in 0..20_u8 {
        let piece = vec![i; 100_000 + usize::from(i)];
        expected.extend_from_slice(&piece);
        writer.write(piece.into()).await.expect("write");
        assert_eq!(storage.size(&key("big/one")).await.expect("size"), None);
    }
    assert_eq!(names(storage, "").await, Vec::<String>::new());
    writer.finish().await.expect("finish");
    assert!(whole(storage, "big/one").await == expected, "the bytes differ");

    let empty = storage.begin(&key("big/empty")).await.expect("begin");
    empty.finish().await.expect("finish");
    assert_eq!(names(storage, "").await, ["big/empty 0", &format!("big/one {}", expected.len())]);
}

/// A writer that is dropped changes nothing.
pub async fn abandoned_writers(storage: &dyn Storage) {
    storage.put(&key("kept"), Bytes::from_static(b"old")).await.expect("put");
    for name in ["kept", "new"] {
        let mut writer = storage.begin(&key(name)).await.expect("begin");
        writer.write(Bytes::from_static(b"half of something")).await.expect("write");
        drop(writer);
    }
    assert_eq!(names(storage, "").await, ["kept 3"]);
    assert_eq!(whole(storage, "kept").await, "old");
}

/// A list has what starts with the prefix and nothing else, in order.
pub async fn listing(storage: &dyn Storage) {
    for name in ["p/b", "p/a", "p-/x", "p.x", "p/c/1", "p/c-", "q", "p/c/0"] {
        storage.put(&key(name), Bytes::from(name)).await.expect("put");
    }
    for (prefix, expected) in [
        ("p/", &["p/a 3", "p/b 3", "p/c- 4", "p/c/0 5", "p/c/1 5"][..]),
        ("p", &["p-/x 4", "p.x 3", "p/a 3", "p/b 3", "p/c- 4", "p/c/0 5", "p/c/1 5"]),
        ("p/c", &["p/c- 4", "p/c/0 5", "p/c/1 5"]),
        ("p/c/1", &["p/c/1 5"]),
        ("p/c/1/", &[]),
        ("r", &[]),
        ("../", &[]),
    ] {
        assert_eq!(names(storage, prefix).await, expected, "{prefix}");
    }
    assert_eq!(names(storage, "").await.len(), 8);
    // A list that is not read to its end does no harm.
    drop(storage.list(""));
}

/// Writers of one key never mix: whoever comes last, readers see one of them whole.
pub async fn concurrency(storage: &dyn Storage) {
    let k = key("same/key");
    storage.put(&k, vec![0; 10_000].into()).await.expect("put");
    let writers = (1..=8_u8).map(|i| {
        let k = k.clone();
        async move {
            let mut writer = storage.begin(&k).await.expect("begin");
            for _ in 0..10 {
                writer.write(vec![i; 1000].into()).await.expect("write");
            }
            writer.finish().await.expect("finish");
        }
    });
    let readers = (0..50).map(|_| {
        let k = k.clone();
        async move {
            let body = storage.read(&k, 0..10_000).await.expect("read");
            assert!(body.iter().all(|&byte| byte == body[0]), "two objects were mixed");
        }
    });
    futures::join!(join_all(writers), join_all(readers));
}
