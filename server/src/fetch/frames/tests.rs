use std::ops::Range;

use async_trait::async_trait;
use database::{ChunkId, PackName};
use storage::{Fault, FaultPlan, FaultyStorage, Key, MemoryStorage, Operation, Writer};

use super::*;

/// A storage that is asked for a lot at once and gives it in small pieces, as a bucket does.
#[derive(Debug, Clone)]
struct Far(FaultyStorage<MemoryStorage>);

#[async_trait]
impl Storage for Far {
    async fn put(&self, key: &Key, body: Bytes) -> storage::Result<()> {
        self.0.put(key, body).await
    }
    async fn begin(&self, key: &Key) -> storage::Result<Box<dyn Writer>> {
        self.0.begin(key).await
    }
    async fn read(&self, key: &Key, range: Range<u64>) -> storage::Result<Bytes> {
        self.0.read(key, range).await
    }
    async fn stream(
        &self,
        key: &Key,
        range: Range<u64>,
    ) -> storage::Result<BoxStream<'static, storage::Result<Bytes>>> {
        let body = self.0.read(key, range).await?;
        let pieces: Vec<_> = body.chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(stream::iter(pieces).boxed())
    }
    fn extent_size(&self) -> u64 {
        64 << 20
    }
    async fn ping(&self) -> storage::Result<()> {
        self.0.ping().await
    }
    async fn size(&self, key: &Key) -> storage::Result<Option<u64>> {
        self.0.size(key).await
    }
    async fn delete(&self, key: &Key) -> storage::Result<()> {
        self.0.delete(key).await
    }
    fn list(&self, prefix: &str) -> BoxStream<'_, storage::Result<(Key, u64)>> {
        self.0.list(prefix)
    }
}

/// Twenty frames of 100 kB in one pack.
async fn pack() -> (FaultyStorage<MemoryStorage>, Vec<ChunkLocation>, Bytes) {
    let storage = FaultyStorage::new(MemoryStorage::new(), FaultPlan::none());
    let body: Bytes = (0..500_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let pack = PackName([3; 16]);
    let chunks = (0..20_i64).map(|n| {
        let offset = u64::try_from(n).unwrap() * 100_000;
        let start = usize::try_from(offset).unwrap();
        let check = crc32c::crc32c(&body[start..start + 100_000]);
        ChunkLocation { id: ChunkId(n), pack, offset, stored_size: 100_000, size: 1, check }
    });
    storage.put(&pack::key(pack), body.clone()).await.unwrap();
    let chunks = chunks.collect();
    (storage, chunks, body)
}

async fn streamed(storage: Arc<dyn Storage>, chunks: &[ChunkLocation]) -> (Vec<u8>, Option<FetchError>) {
    let mut frames = Box::pin(Frames::new(storage).stream::<Bytes>(chunks, true));
    let mut body = Vec::new();
    loop {
        match frames.try_next().await {
            Ok(Some((_, frame))) => body.extend_from_slice(&frame),
            Ok(None) => return (body, None),
            Err(error) => return (body, Some(error)),
        }
    }
}

#[tokio::test]
async fn a_far_storage_is_asked_once_for_what_lies_side_by_side() {
    let (storage, chunks, body) = pack().await;
    for far in [false, true] {
        let asked: Arc<dyn Storage> = if far { Arc::new(Far(storage.clone())) } else { Arc::new(storage.clone()) };
        storage.set_plan(FaultPlan::none());
        let (read, error) = streamed(Arc::clone(&asked), &chunks).await;
        assert!(error.is_none() && read == body, "far: {far}");
        assert_eq!(storage.operations(), if far { 1 } else { 4 }, "reads, far: {far}");
        // Two extents with a gap.
        let gap = [&chunks[..3], &chunks[5..]].concat();
        let (read, error) = streamed(asked, &gap).await;
        assert!(error.is_none() && read == [&body[..300_000], &body[500_000..]].concat(), "far: {far}");
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_refused() {
    let (storage, chunks, body) = pack().await;
    let budget = Budget::impatient(1 << 20);
    let taken = budget.take(chunks[0].pack, 1 << 20, true).await.unwrap();
    let frames = Frames::new(Arc::new(storage)).within(budget);
    let refused = frames.stream::<Bytes>(&chunks, true).try_next().await;
    assert!(matches!(refused, Err(FetchError::Overloaded)), "{refused:?}");
    let mut begun = frames.stream::<Bytes>(&chunks, false);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(100), begun.try_next()).await;
    assert!(waited.is_err(), "there is no memory");
    drop(taken);
    // What is not let go of takes the memory of what comes next.
    let copied = begun.try_fold(Vec::new(), async |copied, (_, bytes)| Ok([copied, bytes.to_vec()].concat()));
    assert!(copied.await.unwrap() == body);
}

#[tokio::test]
async fn bytes_that_were_wrong_on_the_line_are_read_again() {
    let (storage, chunks, body) = pack().await;
    let far: Arc<dyn Storage> = Arc::new(Far(storage.clone()));
    for asked in [far, Arc::new(storage.clone())] {
        storage.set_plan(FaultPlan::none().nth(Operation::Read, 0, Fault::Corrupt));
        let (read, error) = streamed(Arc::clone(&asked), &chunks).await;
        assert!(error.is_none() && read == body);
        storage.set_plan(FaultPlan::none().nth(Operation::Read, 0, Fault::Corrupt));
        let frames = Frames::new(asked).read(&chunks).await.unwrap();
        assert_eq!(frames.iter().flatten().count(), 20);
    }
}

#[tokio::test]
async fn damage_is_told_by_its_chunks() {
    let (storage, chunks, body) = pack().await;
    let key = pack::key(chunks[0].pack);
    let far: Arc<dyn Storage> = Arc::new(Far(storage.clone()));
    let near: Arc<dyn Storage> = Arc::new(storage.clone());
    // One frame.
    let mut damaged = body.to_vec();
    damaged[750_000] ^= 1;
    storage.put(&key, damaged.into()).await.unwrap();
    for asked in [&far, &near] {
        let (read, error) = streamed(Arc::clone(asked), &chunks).await;
        assert!(read == body[..700_000], "wrong bytes were given out");
        assert!(matches!(error, Some(FetchError::Damaged { chunks }) if chunks == [ChunkId(7)]));
        let frames = Frames::new(Arc::clone(asked)).read(&chunks).await.unwrap();
        let gone: Vec<usize> = (0..20).filter(|&n| frames[n].is_none()).collect();
        assert_eq!(gone, [7]);
    }
    // The end.
    storage.put(&key, body.slice(..1_250_000)).await.unwrap();
    let (_, error) = streamed(Arc::clone(&far), &chunks).await;
    let Some(FetchError::Damaged { chunks: gone }) = error else { panic!("{error:?}") };
    assert_eq!(gone, (12..20).map(ChunkId).collect::<Vec<_>>());
    let (read, error) = streamed(Arc::clone(&near), &chunks).await;
    assert!(read == body[..read.len()] && matches!(error, Some(FetchError::Damaged { .. })));
    // All of it; and a storage that is away is not damage.
    storage.delete(&key).await.unwrap();
    let (_, error) = streamed(Arc::clone(&far), &chunks).await;
    assert!(matches!(error, Some(FetchError::Damaged { chunks }) if chunks.len() == 20));
    storage.set_plan(FaultPlan::none().dies_after(0));
    let (_, error) = streamed(far, &chunks).await;
    assert!(matches!(error, Some(FetchError::Storage(storage::Error::Unavailable(_)))));
}
