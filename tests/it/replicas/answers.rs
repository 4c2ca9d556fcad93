//! What a replica keeps in memory is never older than what another one has acknowledged.

use super::Replicas;
use crate::harness::{Node, Seed, TestPath};

/// What all of them say of a path, asked twice so that each has it in memory.
async fn said(replicas: &Replicas, path: &TestPath) -> Vec<u16> {
    let mut said = Vec::new();
    for server in replicas.servers.iter().chain(&replicas.servers) {
        said.push(server.http().get(&format!("/main/{}.narinfo", path.hash())).await.status.as_u16());
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_comes_and_goes_for_all_at_once() {
    let replicas = Replicas::start(3).await;
    let admins = replicas.admins();
    let mut seed = Seed::new(1, "answers");
    for round in 0..9 {
        let path = TestPath::new(&format!("path-{round}"), &Node::small_files(&mut seed, 3));
        assert_eq!(said(&replicas, &path).await, [404; 6]);
        admins[round % 3].upload("main", &path).await.expect(200);
        assert_eq!(said(&replicas, &path).await, [200; 6], "round {round}");
        admins[(round + 1) % 3].delete(&format!("/_flywheel/v1/caches/main/paths/{}", path.hash())).await.expect(200);
        assert_eq!(said(&replicas, &path).await, [404; 6], "round {round}");
    }
}

#[tokio::test]
async fn a_narinfo_that_is_kept_costs_one_question() {
    let postgres = scratch::Server::start(&["log_statement=all"]);
    let replicas = Replicas::on(postgres.database(), 1).await;
    let path = TestPath::small("path");
    replicas.admins()[0].upload("main", &path).await.expect(200);
    let http = replicas.servers[0].http();
    let statements = || {
        let log = std::fs::read_to_string(postgres.folder().join("log")).unwrap();
        log.lines().filter(|line| line.contains(" LOG:  execute ")).count()
    };
    let ask = async || http.get(&format!("/main/{}.narinfo", path.hash())).await.expect(200);
    for _ in 0..5 {
        ask().await;
    }
    let before = statements();
    for _ in 0..500 {
        ask().await;
    }
    let took = statements() - before;
    // Some are for what the server does by itself.
    assert!((500..600).contains(&took), "{took} statements for 500 narinfos");
}
