//! SIGTERM: what is in flight may end, what stands still may not hold the server up.

use crate::harness::{HalfPush, Server, TestPath};

/// Waits until the server has logged that it is stopping.
async fn until_stopping(server: &Server) {
    while !server.log().contains("\"message\":\"stopping") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_push_in_flight_may_end() {
    let mut server = Server::new();
    let key = server.http().public_key("main").await;
    let path = TestPath::small("in-flight");
    let push = HalfPush::start(&server, &path);
    // Whatever comes after this request has found the push in flight.
    server.http().get("/livez").await.expect(200);
    server.signal_stop();
    until_stopping(&server).await;
    assert!(server.is_running());
    assert!(push.finish().starts_with("HTTP/1.1 200 "));
    assert!(server.wait().success());
    server.restart();
    server.http().pull_same("main", &path, &key).await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mut server = Server::new();
    let key = server.http().public_key("main").await;
    let path = TestPath::small("stalled");
    let push = HalfPush::start(&server, &path);
    server.http().get("/livez").await.expect(200);
    server.signal_stop();
    until_stopping(&server).await;
    assert!(server.is_running());
    server.signal_stop();
    assert!(server.wait().success());
    drop(push);
    assert!(server.log().contains("cut off"), "it was not the second signal that stopped the server");
    server.restart();
    assert!(server.http().pull("main", &path.hash(), &key).await.is_absent());
}

#[tokio::test]
async fn a_stalled_push_does_not_hold_up_the_end() {
    // Stalled for good, and given up by the server on its own account.
    for (config, is_cut) in [("", true), ("[flywheel.limits]\nbody-idle-timeout = \"1s\"\n", false)] {
        let mut server = Server::builder().config(config).start();
        let key = server.http().public_key("main").await;
        let path = TestPath::small("stalled");
        let push = HalfPush::start(&server, &path);
        server.http().get("/livez").await.expect(200);
        assert!(server.terminate().success());
        assert_eq!(server.log().contains("cut off"), is_cut);
        drop(push);
        server.restart();
        let http = server.admin();
        assert!(http.pull("main", &path.hash(), &key).await.is_absent());
        http.upload("main", &path).await.expect(200);
        http.pull_same("main", &path, &key).await;
    }
}
