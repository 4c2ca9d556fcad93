//! A first start that is cut short is simply made again.

use std::time::Duration;

use crate::harness::{Seed, Server, TestPath};

#[tokio::test]
async fn a_first_start_may_be_cut_short() {
    let (_, mut seed) = Seed::from_environment("first start");
    for _ in 0..8 {
        let mut server = Server::builder().stopped();
        for _ in 0..3 {
            server.start_and_kill9(Duration::from_millis(seed.in_range(0..40) as u64));
        }
        server.restart();
        let key = server.http().public_key("main").await;
        let path = TestPath::small("first");
        server.admin().upload("main", &path).await.expect(200);
        server.http().pull_same("main", &path, &key).await;
    }
}
