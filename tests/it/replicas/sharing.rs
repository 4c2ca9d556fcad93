//! Nobody breaks anything: all of them push, read and change things at once.

use formats::SecretKey;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::Replicas;
use crate::harness::{Node, Seed, TestPath};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_acknowledged_all_have() {
    let replicas = Replicas::start(3).await;
    let admins = replicas.admins();
    let mut seed = Seed::new(1, "sharing");
    for round in 0..12 {
        let contents = Node::small_files(&mut seed, 10);
        let path = TestPath::new(&format!("path-{round}"), &contents);
        admins[round % 3].upload("main", &path).await.expect(200);
        for server in &replicas.servers {
            server.http().pull_same("main", &path, &replicas.key).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_path_pushed_through_all_is_stored_once() {
    let replicas = Replicas::start(3).await;
    let admins = replicas.admins();
    let mut seed = Seed::new(1, "sharing");
    for round in 0..4 {
        let path = TestPath::new(&format!("path-{round}"), &Node::noise(&mut seed, 300_000));
        let mut pushes = JoinSet::new();
        for push in 0..9 {
            let (admin, path) = (admins[push % 3].clone(), path.clone());
            pushes.spawn(async move { admin.upload("main", &path).await.expect(200) });
        }
        pushes.join_all().await;
        for server in &replicas.servers {
            server.http().pull_same("main", &path, &replicas.key).await;
        }
    }
    let ask = |sql: &str| replicas.database.ask(sql);
    assert_eq!(ask("SELECT count(*) FROM path"), "4");
    assert_eq!(ask("SELECT count(*) FROM nar"), "4");
    assert_eq!(ask("SELECT count(*) - count(DISTINCT hash) FROM chunk"), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_pushed_through_all_are_stored_once() {
    let replicas = Replicas::start(3).await;
    let admins = replicas.admins();
    let mut seed = Seed::new(1, "sharing");
    let pool: Vec<Node> = (0..6).map(|_| Node::noise(&mut seed, 400_000)).collect();
    let paths: Vec<TestPath> = (0..30)
        .map(|at| {
            // The same files in another order, so that packs hold them in another order.
            let shared = (0..4).map(|part| (format!("{part}"), pool[(at + part * (1 + at % 3)) % 6].clone()));
            let own = [("own".to_owned(), Node::noise(&mut seed.clone(), 1000 + at))];
            TestPath::new(&format!("path-{at}"), &Node::directory(shared.chain(own).collect::<Vec<_>>()))
        })
        .collect();
    let mut pushes = JoinSet::new();
    for (at, path) in paths.iter().enumerate() {
        let (admin, path) = (admins[at % 3].clone(), path.clone());
        pushes.spawn(async move { admin.upload("main", &path).await.expect(200) });
    }
    pushes.join_all().await;
    for (at, path) in paths.iter().enumerate() {
        replicas.servers[(at + 1) % 3].http().pull_same("main", path, &replicas.key).await;
    }
    let ask = |sql: &str| replicas.database.ask(sql);
    assert_eq!(ask("SELECT count(*) FROM path"), "30");
    assert_eq!(ask("SELECT count(*) - count(DISTINCT hash) FROM chunk WHERE damaged_at IS NULL"), "0");
    for server in &replicas.servers {
        assert!(!server.log().contains("deadlock"), "no two commits wait for each other");
    }
}

#[tokio::test]
async fn what_is_changed_on_one_is_so_on_all() {
    let replicas = Replicas::start(3).await;
    let admins = replicas.admins();
    let path = TestPath::small("path");
    admins[0].upload("main", &path).await.expect(200);
    for round in 0..6 {
        let changed = &admins[round % 3];
        let is_public = round % 2 == 1;
        let change = json!({ "is_public": is_public, "priority": round + 1 });
        changed.send_json(Method::PATCH, "/_api/v1/cache-config/main", &change).await.expect(200);
        for server in &replicas.servers {
            let narinfo = server.http().get(&format!("/main/{}.narinfo", path.hash())).await;
            assert_eq!(narinfo.status.as_u16(), if is_public { 200 } else { 401 }, "round {round}");
            let info = server.http().with_token(&replicas.token).get("/main/nix-cache-info").await.expect(200);
            assert!(info.text().contains(&format!("Priority: {}", round + 1)), "{}", info.text());
        }
    }

    let key = SecretKey::generate("other".parse().unwrap(), [3; 32]);
    let change = json!({ "is_public": true, "keypair": { "Keypair": key.to_text() } });
    admins[1].send_json(Method::PATCH, "/_api/v1/cache-config/main", &change).await.expect(200);
    for server in &replicas.servers {
        server.http().pull_same("main", &path, &key.public_key()).await;
    }
    admins[2].delete("/_api/v1/cache-config/main").await.expect(200);
    for server in &replicas.servers {
        let narinfo = server.http().get(&format!("/main/{}.narinfo", path.hash())).await;
        assert_eq!(narinfo.status.as_u16(), 401, "who may not know of it is told nothing");
    }
}
