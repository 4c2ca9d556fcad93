//! Ten minutes of what a bad week has: three replicas, PostgreSQL and Garage of three nodes, all of which die now and then.
//!
//! `scripts/soak` runs it. Clients do what clients do, and try again; nothing that was acknowledged may be lost, unreadable or other
//! than it was, for anybody at any time.

mod figures;
mod load;
mod trouble;

use std::{sync::Arc, time::Duration};

use bucket::{ACCESS_KEY_ID, BUCKET, Garage, REGION, SECRET_ACCESS_KEY};
use futures::{StreamExt, stream};

use self::{
    figures::Figures,
    load::{Known, Shared, Way},
    trouble::Trouble,
};
use super::Replicas;
use crate::harness::{Server, nix::clients};

/// How many replicas there are, and nodes of Garage.
const REPLICAS: usize = 3;

fn seconds() -> u64 {
    let told = std::env::var("FLYWHEEL_SOAK_SECONDS").ok().filter(|text| !text.is_empty());
    told.map_or(600, |text| text.parse().expect("FLYWHEEL_SOAK_SECONDS is a number"))
}

/// The configuration of a replica that has a node of Garage beside it, as it would on a machine of its own.
fn config(endpoint: &str) -> String {
    format!(
        "[storage]\ntype = \"s3\"\nregion = \"{REGION}\"\nbucket = \"{BUCKET}\"\nendpoint = \"{endpoint}\"\n\
         [storage.credentials]\naccess_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
         [garbage-collection]\ninterval = \"30s\"\n\
         [jwt.signing]\ntoken-hs256-secret-base64 = \"{}\"\n",
        "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC1zZWNyZXQ=",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes ten minutes and Garage's program: scripts/soak"]
async fn nothing_acknowledged_is_ever_lost() {
    let program = Garage::program().expect("GARAGE names Garage's program");
    let length = Duration::from_secs(seconds());
    let garage = Garage::start(&program, REPLICAS);
    let postgres = scratch::Server::start(&[]);
    let configs = (0..REPLICAS).map(|node| config(&garage.endpoint(node))).collect();
    let replicas = Replicas::configured(postgres.database(), configs).await;
    let shared = Arc::new(Shared::new(&replicas));
    let nix = clients().into_iter().next().map(|client| client.at_home(&replicas.servers[0], &[]));
    let ways = [vec![Way::Attic, Way::Put], nix.map_or(vec![Way::Attic], |nix| vec![Way::Native(Box::new(nix))])];
    println!("{} s, seed {}", length.as_secs(), shared.seed);

    let pushing: Vec<_> = ways
        .into_iter()
        .enumerate()
        .map(|(at, ways)| tokio::spawn(load::push(at, ways, Arc::clone(&shared))))
        .collect();
    let reading: Vec<_> = (0..4).map(|reader| tokio::spawn(load::read(reader, Arc::clone(&shared)))).collect();
    let Replicas { servers, database, token: _, key: _, _storage } = replicas;
    let trouble = Trouble { servers, garage, postgres, length };
    let troubled = {
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || trouble.make(&shared))
    };
    let trouble = troubled.await.unwrap();
    shared.stop();
    let mut known: Vec<Known> = Vec::new();
    for pusher in pushing {
        known.extend(pusher.await.unwrap());
    }
    for reader in reading {
        reader.await.unwrap();
    }

    // Everybody has everything, and once.
    let checked = stream::iter(known.iter().flat_map(|path| (0..REPLICAS).map(move |replica| (path, replica))))
        .map(|(path, replica)| shared.check(path, replica))
        .buffer_unordered(8)
        .count()
        .await;
    assert_eq!(checked, known.len() * REPLICAS);
    let twice = "SELECT count(*) - count(DISTINCT hash) FROM chunk WHERE damaged_at IS NULL";
    assert_eq!(database.ask(twice), "0");
    let hidden = "SELECT (SELECT count(*) FROM nar WHERE quarantined_at IS NOT NULL) + (SELECT count(*) FROM chunk WHERE damaged_at IS NOT NULL)";
    assert_eq!(database.ask(hidden), "0", "nothing was taken for damaged that was only away");
    Figures::print(&shared, &trouble, &known);
    for server in &trouble.servers {
        assert!(!server.log().contains("panicked"), "a replica panicked:\n{}", panics(server));
    }
    drop(database);
}

fn panics(server: &Server) -> String {
    server.log().lines().filter(|line| line.contains("panicked")).collect::<Vec<_>>().join("\n")
}
