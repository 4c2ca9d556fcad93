//! A push that stands still or breaks off holds up nobody but those who push the same NAR.

use std::time::Duration;

use crate::harness::{HalfPush, Node, Seed, Server, TestPath};

#[tokio::test]
async fn a_stalled_push_does_not_hold_up_other_paths() {
    let server = Server::builder().config("[flywheel.limits]\nmax-concurrent-uploads = 3\n").start();
    let http = server.admin();
    let key = http.public_key("main").await;
    let stalled = TestPath::small("stalled");
    // More than the server works on at a time: one of them stands still, the others wait for it.
    let mut pushes: Vec<_> = (0..5).map(|_| HalfPush::start(&server, &stalled)).collect();
    http.get("/livez").await.expect(200);
    for i in 0..3 {
        let other = TestPath::small(&format!("other-{i}"));
        http.upload("main", &other).await.expect(200);
        http.pull_same("main", &other, &key).await;
    }
    assert!(http.pull("main", &stalled.hash(), &key).await.is_absent());
    pushes.iter_mut().for_each(HalfPush::send_rest);
    for push in pushes {
        let answer = push.finish();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    http.pull_same("main", &stalled, &key).await;
}

/// Two paths: the first half of the first NAR is most of the second.
fn sharing(seed: &mut Seed) -> (TestPath, TestPath) {
    let (shared, own) = (Node::noise(seed, 3 << 20), Node::noise(seed, 3 << 20));
    let one = TestPath::new("one", &Node::directory([("a", shared.clone()), ("b", own)]));
    let other = TestPath::new("other", &Node::directory([("a", shared), ("c", Node::file("c"))]));
    (one, other)
}

#[tokio::test]
async fn a_stalled_push_does_not_hold_up_who_shares_its_contents() {
    let server = Server::new();
    let http = server.admin();
    let key = http.public_key("main").await;
    let (one, other) = sharing(&mut Seed::new(3, "sharing"));
    let stalled = HalfPush::start(&server, &one);
    http.get("/livez").await.expect(200);
    http.upload("main", &other).await.expect(200);
    http.pull_same("main", &other, &key).await;
    let answer = stalled.finish();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    http.pull_same("main", &one, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_breaks_off_spoils_none_that_shares_its_contents() {
    let (_, mut seed) = Seed::from_environment("break off");
    let server = Server::new();
    let http = server.admin();
    let key = http.public_key("main").await;
    for _ in 0..6 {
        let (one, other) = sharing(&mut seed);
        let broken = HalfPush::start(&server, &one);
        let delay = Duration::from_millis(seed.in_range(0..80) as u64);
        let breaking_off = async {
            tokio::time::sleep(delay).await;
            drop(broken);
        };
        let (answer, ()) = tokio::join!(http.upload("main", &other), breaking_off);
        answer.expect(200);
        http.pull_same("main", &other, &key).await;
        assert!(http.pull("main", &one.hash(), &key).await.is_absent());
        http.upload("main", &one).await.expect(200);
        http.pull_same("main", &one, &key).await;
    }
}
