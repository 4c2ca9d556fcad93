//! What every test stands on.
//!
//! [`Server`] is a server process of the test's own, [`Http`] speaks to it, [`TestPath`] is something to push, and
//! [`Http::pull`] reads it back as suspiciously as Nix does.
//!
//! ```ignore
//! #[tokio::test]
//! async fn what_was_pushed_can_be_pulled() {
//!     let server = Server::new();
//!     let path = TestPath::small("some-name-1.0");
//!     server.admin().upload("main", &path).await.expect(200);
//!     server.http().pull_same("main", &path, &server.http().public_key("main").await).await;
//! }
//! ```

mod backing;
pub(crate) mod cutting_proxy;
mod fsck;
mod half_push;
mod http;
mod nar;
pub(crate) mod nix;
mod pull;
mod seed;
mod server;
mod shelf;

pub(crate) use backing::Backing;
pub(crate) use fsck::Fsck;
pub(crate) use half_push::HalfPush;
pub(crate) use http::{Answer, Http, answer, try_answer};
pub(crate) use nar::{Node, TestPath};
pub(crate) use pull::{Pulled, compress, decompress};
pub(crate) use seed::Seed;
pub(crate) use server::Server;
pub(crate) use shelf::Shelf;

/// The harness itself: a server lives through all that tests do to it.
#[tokio::test]
async fn a_server_keeps_its_data_and_its_port() {
    for builder in [Server::builder(), Server::builder().config("[flywheel]\nlog-format = \"text\"\n")] {
        let mut server = builder.start();
        let url = server.url();
        let key = server.http().public_key("main").await;
        let paths = [TestPath::new("odd", &Node::odd()), TestPath::small("small")];
        for path in &paths {
            server.admin().upload("main", path).await.expect(200);
        }
        server.restart();
        assert_eq!(server.url(), url);
        for path in &paths {
            server.http().pull_same("main", path, &key).await;
        }
        assert!(server.rss_peak() > 1 << 20);
        assert!(server.terminate().success());
        assert!(!server.is_running());
        server.restart();
        let absent = TestPath::small("never pushed".replace(' ', "-").as_str());
        assert!(server.http().pull("main", &absent.hash(), &key).await.is_absent());
    }
}
