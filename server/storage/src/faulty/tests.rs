use futures::TryStreamExt;

use super::*;
use crate::MemoryStorage;

fn key() -> Key {
    "k".parse().unwrap()
}

async fn holding(body: &'static str, plan: FaultPlan) -> FaultyStorage<MemoryStorage> {
    let storage = FaultyStorage::new(MemoryStorage::new(), FaultPlan::none());
    storage.put(&key(), Bytes::from_static(body.as_bytes())).await.unwrap();
    storage.set_plan(plan);
    storage
}

#[tokio::test]
async fn conforms_when_nothing_is_planned() {
    crate::conformance::all(|| async { FaultyStorage::new(MemoryStorage::new(), FaultPlan::none()) }).await;
}

#[tokio::test]
async fn a_failure_has_no_effect_or_all_of_it() {
    let storage =
        holding("old", FaultPlan::none().nth(Operation::Put, 0, Fault::Fail).nth(Operation::Put, 1, Fault::FailAfter))
            .await;
    assert!(matches!(storage.put(&key(), Bytes::from_static(b"new")).await, Err(Error::Unavailable(_))));
    assert_eq!(storage.read(&key(), 0..3).await.unwrap(), "old");
    assert!(matches!(storage.put(&key(), Bytes::from_static(b"new")).await, Err(Error::Unavailable(_))));
    assert_eq!(storage.read(&key(), 0..3).await.unwrap(), "new");
    assert_eq!(storage.operations(), 4);
}

#[tokio::test]
async fn reads_are_cut_short_and_damaged() {
    let plan = FaultPlan::none().nth(Operation::Read, 0, Fault::Truncate(3)).nth(Operation::Read, 1, Fault::Corrupt);
    let storage = holding("0123456789", plan).await;
    assert!(matches!(storage.read(&key(), 2..10).await, Err(Error::Truncated { wanted: 8, got: 3, .. })));
    assert_eq!(storage.read(&key(), 0..10).await.unwrap(), "0123446789");
    assert_eq!(storage.read(&key(), 0..10).await.unwrap(), "0123456789");
}

#[tokio::test]
async fn a_broken_writer_cannot_finish() {
    let storage = holding("old", FaultPlan::none().nth(Operation::Write, 1, Fault::Full)).await;
    let mut writer = storage.begin(&key()).await.unwrap();
    writer.write(Bytes::from_static(b"a")).await.unwrap();
    assert!(matches!(writer.write(Bytes::from_static(b"b")).await, Err(Error::NoSpace(_))));
    assert!(matches!(writer.finish().await, Err(Error::Interrupted { .. })));
    assert_eq!(storage.read(&key(), 0..3).await.unwrap(), "old");
}

#[tokio::test]
async fn a_finish_that_fails_afterwards_has_stored() {
    let storage = holding("old", FaultPlan::none().every(Operation::Finish, Fault::FailAfter)).await;
    let mut writer = storage.begin(&key()).await.unwrap();
    writer.write(Bytes::from_static(b"new")).await.unwrap();
    assert!(writer.finish().await.is_err());
    assert_eq!(storage.read(&key(), 0..3).await.unwrap(), "new");
}

#[tokio::test]
async fn a_dead_store_answers_nothing() {
    let storage = holding("x", FaultPlan::none().dies_after(1)).await;
    assert!(storage.size(&key()).await.is_ok());
    assert!(storage.size(&key()).await.is_err());
    assert!(storage.list("").try_collect::<Vec<_>>().await.is_err());
    assert!(storage.delete(&key()).await.is_err());
    assert_eq!(storage.inner().size(&key()).await.unwrap(), Some(1));
}
