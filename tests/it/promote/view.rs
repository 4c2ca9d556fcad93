//! What a view answers is kept in memory, and must not be told from what is not.

use super::lab::{Builder, Lab};
use crate::harness::nix::{clients, hash_part};

/// The status of the narinfo, and of the NAR by the name that the plain cache gives it, asked for twice.
async fn seen(lab: &Lab, path: &str) -> (u16, u16) {
    let http = lab.server.http();
    let plain = http.get(&format!("/main/{}.narinfo", hash_part(path))).await.expect(200).text();
    let name = plain.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
    let bytes = http.get(&format!("/main/{name}")).await.expect(200).body;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let narinfo = lab.narinfo("main@stable", path).await;
        let nar = http.get(&format!("/main@stable/{name}")).await;
        assert!(nar.status != 200 || nar.body == bytes);
        seen.push((narinfo, nar.status.as_u16()));
    }
    assert_eq!(seen[0], seen[1]);
    seen[0]
}

#[tokio::test]
async fn what_a_view_keeps_in_memory_is_never_out_of_date() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let claim = |builder: &Builder, attribute: &str| {
        let path = builder.build(&lab, attribute);
        let (claim, state, lacking) = builder.claim(&lab.attribute(attribute));
        assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
        (claim.to_string(), path)
    };
    let ((hello_claim, hello), (leaf_claim, leaf)) = (claim(&ci, "hello"), claim(&ci, "leaf"));
    let (shown, hidden) = ((200, 200), (404, 404));
    ada.ok(&["promote", "tag", "stable", &hello_claim]);
    assert_eq!((seen(&lab, &hello).await, seen(&lab, &leaf).await), (shown, shown));
    // The tag moves, there and back.
    ada.ok(&["promote", "tag", "stable", &leaf_claim]);
    assert_eq!((seen(&lab, &hello).await, seen(&lab, &leaf).await), (hidden, shown));
    ada.ok(&["promote", "rollback", "stable", "--to", "1", "--reason", "it was better"]);
    assert_eq!((seen(&lab, &hello).await, seen(&lab, &leaf).await), (shown, shown));
    // It is shown to nobody, and again.
    ada.ok(&["promote", "show", "stable", "local-only"]);
    assert_eq!(seen(&lab, &hello).await, hidden);
    ada.ok(&["promote", "show", "stable", "internal"]);
    assert_eq!(seen(&lab, &hello).await, shown);
    // What it rests on is taken back.
    ada.ok(&["promote", "revoke", &hello_claim, "--reason", "the source is not what it seemed"]);
    assert_eq!((seen(&lab, &hello).await, seen(&lab, &leaf).await), (hidden, hidden));
}
