//! What only a real service shows. Without `GARAGE` these tests say so and do nothing.

use bucket::Garage;
use bytes::Bytes;

use super::*;

fn garage(nodes: usize) -> Option<Garage> {
    let program = Garage::program();
    if program.is_none() {
        eprintln!("skipped: GARAGE does not name the program");
    }
    program.map(|program| Garage::start(&program, nodes))
}

#[tokio::test]
async fn one_node_conforms() {
    let Some(garage) = garage(1) else { return };
    storage::conformance::all(|| prefixed(options(garage.endpoint(0)))).await;
}

#[tokio::test]
async fn three_nodes_conform_and_one_may_be_away() {
    let Some(mut garage) = garage(3) else { return };
    storage::conformance::all(|| prefixed(options(garage.endpoint(1)))).await;
    let storage = prefixed(options(garage.endpoint(0))).await;
    let body = bytes(12 << 20, 7);
    let write = async |name: &str| {
        let mut writer = storage.begin(&key(name)).await.unwrap();
        for piece in body.chunks(1 << 20) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writer.finish().await.unwrap();
    };
    write("before").await;
    garage.kill(2);
    write("meanwhile").await;
    for name in ["before", "meanwhile"] {
        assert!(whole(&storage, name).await == body, "{name} differs");
    }
    garage.restart(2);
    let other = S3Storage::new(Options { endpoint: Some(garage.endpoint(2)), ..storage.options().clone() }).await;
    for name in ["before", "meanwhile"] {
        assert!(whole(&other, name).await == body, "{name} differs through the node that was away");
    }
}

#[tokio::test]
async fn refusals_are_told_apart_by_a_real_service_too() {
    let Some(garage) = garage(1) else { return };
    refusals::absent_bucket(options(garage.endpoint(0))).await;
    refusals::wrong_credentials(options(garage.endpoint(0))).await;
}

#[tokio::test]
async fn uploads_that_nobody_finishes_are_aborted_when_they_are_old() {
    let Some(garage) = garage(1) else { return };
    let storage = prefixed(options(garage.endpoint(0))).await;
    let mut writer = storage.begin(&key("packs/00/x")).await.unwrap();
    for piece in bytes(12 << 20, 7).chunks(1 << 20) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    // As a process leaves it that dies.
    std::mem::forget(writer);
    storage.put(&key("packs/00/y"), Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(storage.abort_unfinished("packs/", 1_000_000).await.unwrap(), 0, "it is younger");
    assert_eq!(storage.abort_unfinished("records/", i64::MAX).await.unwrap(), 0, "it is somebody else's");
    assert_eq!(storage.abort_unfinished("packs/", i64::MAX).await.unwrap(), 1);
    assert_eq!(storage.abort_unfinished("packs/", i64::MAX).await.unwrap(), 0);
    assert_eq!(whole(&storage, "packs/00/y").await, "y");
}
