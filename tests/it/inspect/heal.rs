//! A path that disappeared since it is damaged comes back with a native push, which is told by itself that it is missing.

use std::sync::Arc;

use client::{nix::LocalStore, push::ProtocolChoice};

use super::store::packs;
use crate::harness::{Fsck, Pulled, Seed, Server, Shelf};

#[tokio::test(flavor = "multi_thread")]
async fn a_native_push_heals_what_is_in_quarantine() {
    let server = Server::new();
    let shelf = Arc::new(Shelf::new(40, &mut Seed::new(5, "heal")));
    let roots = shelf.roots()[..3].iter().cloned().collect();
    let client = Shelf::pushing(&shelf, &server, ProtocolChoice::Native).await;
    let plan = client.plan(shelf.roots().iter().cloned().collect()).await.unwrap();
    assert!(client.apply(&plan).await.is_complete());

    let pack = packs(&server).swap_remove(0);
    for frame in &pack.frames {
        pack.flip(frame.0 + 20, 3);
    }
    assert_eq!(Fsck::run(&server, &[]).status, 3);
    let key = server.http().public_key("main").await;
    let mut hidden = 0;
    for info in shelf.closure(&shelf.roots().iter().cloned().collect()).unwrap() {
        match server.http().pull("main", &info.path.hash().to_string(), &key).await {
            Pulled::Absent => hidden += 1,
            Pulled::Whole(_) => {}
            Pulled::Broken(why) => panic!("{why}"),
        }
    }
    assert!(hidden > 0);

    // Not all at once: what two paths share is healed with the first of them.
    for roots in [roots, shelf.roots().iter().cloned().collect()] {
        let plan = client.plan(roots).await.unwrap();
        let report = client.apply(&plan).await;
        assert!(report.is_complete(), "{:?}", report.failures().collect::<Vec<_>>());
        hidden -= report.uploaded().count();
    }
    assert_eq!(hidden, 0, "just what was hidden was asked for");
    for info in shelf.closure(&shelf.roots().iter().cloned().collect()).unwrap() {
        server.http().pull("main", &info.path.hash().to_string(), &key).await.whole();
    }
    assert_eq!(Fsck::run(&server, &[]).status, 0);
}
