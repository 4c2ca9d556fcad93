//! How many requests a write costs, and what it leaves behind.

use bucket::Fault;
use bytes::Bytes;
use storage::Error;

use super::*;

async fn write(storage: &S3Storage, name: &str, body: &Bytes) -> storage::Result<()> {
    let mut writer = storage.begin(&key(name)).await?;
    let mut rest = body.clone();
    while !rest.is_empty() {
        writer.write(rest.split_to(rest.len().min(700_000))).await?;
    }
    writer.finish().await
}

#[tokio::test]
async fn an_object_that_fits_into_a_part_is_one_request() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    write(&storage, "small", &bytes((5 << 20) - 1, 1)).await.unwrap();
    assert_eq!(lab.requests(), ["PutObject 1"]);
    write(&storage, "empty", &Bytes::new()).await.unwrap();
    assert_eq!(lab.requests(), ["PutObject 1"]);
}

#[tokio::test]
async fn a_long_object_is_sent_in_parts() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    for (name, length, parts) in [("two", 10 << 20, 2), ("four", (15 << 20) + 17, 4)] {
        let body = bytes(length, 2);
        write(&storage, name, &body).await.unwrap();
        let expected = ["CompleteMultipartUpload 1", "CreateMultipartUpload 1", &format!("UploadPart {parts}")];
        assert_eq!(lab.requests(), expected, "{name}");
        assert!(whole(&storage, name).await == body, "{name} differs");
        assert_eq!(lab.requests(), ["GetObject 1", "HeadObject 1"], "{name}: a range is one GET");
    }
    assert_eq!(lab.part_files(), 0);
}

/// Waits for what happens behind a writer that was dropped.
async fn patiently(mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

#[tokio::test]
async fn a_writer_that_is_dropped_aborts_its_upload() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    let mut writer = storage.begin(&key("half")).await.unwrap();
    writer.write(bytes(11 << 20, 3)).await.unwrap();
    drop(writer);
    patiently(|| lab.requests.lock().unwrap().contains_key("AbortMultipartUpload")).await;
    assert_eq!((storage.size(&key("half")).await.unwrap(), lab.part_files()), (None, 0));
}

#[tokio::test]
async fn a_part_that_fails_fails_the_object_and_aborts() {
    let lab = Lab::new();
    let storage = S3Storage::new(Options { attempts: 2, ..lab.options() }).await;
    lab.service.disturb(|asked| asked.query.contains("partNumber=2").then_some(Fault::Answer(500, "InternalError")));
    let error = write(&storage, "half", &bytes(16 << 20, 4)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_) | Error::Interrupted { .. }), "{error:?}");
    patiently(|| lab.requests.lock().unwrap().contains_key("AbortMultipartUpload")).await;
    assert_eq!((storage.size(&key("half")).await.unwrap(), lab.part_files()), (None, 0));
}

/// Many writers share the memory: the more there are, the smaller their parts.
#[tokio::test]
async fn writers_share_the_memory() {
    let lab = Lab::new();
    let storage = S3Storage::new(Options { part_size: 32 << 20, upload_memory: 64 << 20, ..lab.options() }).await;
    let parts: Vec<usize> = (0..8).map(|_| storage.join_writers() >> 20).collect();
    assert_eq!(parts, [32, 16, 10, 8, 6, 5, 5, 5]);
    (0..8).for_each(|_| storage.leave_writers());
    assert_eq!(storage.join_writers() >> 20, 32);
}
