//! Something of it dies all the time: clients that try again see no failure, and nothing that was acknowledged is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};

use super::{Replicas, push_patiently};
use crate::harness::{Http, Node, Seed, TestPath};

/// Clients that push until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicUsize>,
    pushers: Vec<JoinHandle<Vec<TestPath>>>,
}

impl Load {
    fn begin(admins: &[Http]) -> Self {
        let (stop, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let shared = Node::noise(&mut Seed::new(0, "shared"), 200_000);
        let pushers = (0..4)
            .map(|pusher| {
                let (stop, pushed, admins) = (Arc::clone(&stop), Arc::clone(&pushed), admins.to_vec());
                let shared = shared.clone();
                tokio::spawn(async move {
                    let mut seed = Seed::new(pusher as u64, "own");
                    let mut done = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let name = format!("path-{pusher}-{}", done.len());
                        let own = Node::noise(&mut seed, 20_000);
                        let path = TestPath::new(&name, &Node::directory([("own", own), ("shared", shared.clone())]));
                        push_patiently(&admins, pusher, &path).await;
                        done.push(path);
                        pushed.fetch_add(1, Ordering::Relaxed);
                    }
                    done
                })
            })
            .collect();
        Self { stop, pushed, pushers }
    }

    /// Waits until so many more were pushed.
    async fn goes_on(&self, more: usize) {
        let until = self.pushed.load(Ordering::Relaxed) + more;
        while self.pushed.load(Ordering::Relaxed) < until {
            assert!(self.pushers.iter().all(|pusher| !pusher.is_finished()), "a pusher has failed");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; everything that was acknowledged.
    async fn end(self) -> Vec<TestPath> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for pusher in self.pushers {
            all.extend(pusher.await.unwrap());
        }
        all
    }
}

async fn all_are_everywhere(replicas: &Replicas, paths: &[TestPath]) {
    for path in paths {
        for server in &replicas.servers {
            server.http().pull_same("main", path, &replicas.key).await;
        }
    }
    let twice = "SELECT count(*) - count(DISTINCT hash) FROM chunk WHERE damaged_at IS NULL";
    assert_eq!(replicas.database.ask(twice), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_killed() {
    let mut replicas = Replicas::start(3).await;
    let load = Load::begin(&replicas.admins());
    for round in 0..6 {
        load.goes_on(8).await;
        replicas.servers[round % 3].restart();
    }
    load.goes_on(4).await;
    let paths = load.end().await;
    all_are_everywhere(&replicas, &paths).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_restarted_one_after_the_other() {
    let mut replicas = Replicas::start(3).await;
    let load = Load::begin(&replicas.admins());
    for at in 0..3 {
        load.goes_on(8).await;
        assert!(replicas.servers[at].terminate().success());
        replicas.servers[at].restart();
    }
    load.goes_on(4).await;
    let paths = load.end().await;
    all_are_everywhere(&replicas, &paths).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_restarted() {
    let mut server = scratch::Server::start(&[]);
    let replicas = Replicas::on(server.database(), 3).await;
    let load = Load::begin(&replicas.admins());
    for round in 0..4 {
        load.goes_on(8).await;
        if round % 2 == 0 {
            server.stop();
        } else {
            server.kill9();
        }
        sleep(Duration::from_millis(500)).await;
        server.start_again();
    }
    load.goes_on(8).await;
    let paths = load.end().await;
    all_are_everywhere(&replicas, &paths).await;
}

#[tokio::test]
async fn a_request_without_a_database_is_told_to_come_again() {
    let mut server = scratch::Server::start(&[]);
    let replicas = Replicas::on(server.database(), 1).await;
    let path = TestPath::small("path");
    replicas.admins()[0].upload("main", &path).await.expect(200);
    server.stop();
    let answer = replicas.servers[0].http().get(&format!("/main/{}.narinfo", path.hash())).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty());
    server.start_again();
    replicas.servers[0].http().pull_same("main", &path, &replicas.key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_its_database() {
    let mut server = scratch::Server::start(&[]);
    let database = server.database();
    server.stop();
    let starting = tokio::spawn(Replicas::on(database, 2));
    sleep(Duration::from_secs(2)).await;
    assert!(!starting.is_finished(), "there is nothing to start on");
    server.start_again();
    let replicas = starting.await.unwrap();
    assert!(replicas.servers[0].log().contains("waiting for the database"));
}
