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
