//! The index is lost after promotion: what was promoted is served again, what was taken back is not.

use reqwest::Method;
use serde_json::{Value, json};

use super::lab::Lab;
use crate::harness::nix::{clients, hash_part};

const CACHE: &str = "/_flywheel/v1/caches/main";

/// What the server says of promotion, and every narinfo of the views.
async fn said(lab: &Lab, paths: &[&str]) -> Vec<(String, u16, String)> {
    let reader = lab.http(&["--sub", "reader", "--pull", "main"]);
    let mut addresses: Vec<String> =
        ["claims", "tags", "tags/stable/history", "tags/bad/history", "tags/stable/manifest", "tags/stable/receipts"]
            .iter()
            .chain(&["promotion-keys", "candidates"])
            .map(|what| format!("{CACHE}/{what}"))
            .collect();
    for path in paths {
        for place in ["main", "main@stable", "main@bad", "main@v1"] {
            addresses.push(format!("/{place}/{}.narinfo", hash_part(path)));
        }
    }
    let mut said = Vec::new();
    for address in addresses {
        let answer = reader.get(&address).await;
        said.push((address, answer.status.as_u16(), answer.text()));
    }
    said
}

#[tokio::test]
async fn what_is_promoted_is_served_again_and_what_was_revoked_is_not() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    lab.set_policy("[corroboration]\npublic-builders = 1\n");
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let (hello, leaf) = (ci.build(&lab, "hello"), ci.build(&lab, "leaf"));
    let (one, _, _) = ci.claim(&lab.attribute("hello"));
    let (two, _, _) = ci.claim(&lab.attribute("leaf"));
    let (one, two) = (one.to_string(), two.to_string());
    ada.ok(&["promote", "tag", "stable", &two, "--visibility", "public"]);
    ada.ok(&["promote", "tag", "stable", &one, "--visibility", "public"]);
    ada.ok(&["promote", "export", "stable", "--surface", "hub", "--out", &ada.place("export")]);
    ada.ok(&["promote", "tag", "bad", &one]);
    ada.ok(&["promote", "untag", "bad", "--reason", "it was a mistake"]);
    // A release whose claim is revoked, and the promotion key rotated once.
    ada.ok(&["promote", "tag", "v1", &two, "--release"]);
    ada.ok(&["promote", "revoke", &two, "--reason", "the key leaked"]);
    lab.server.admin().send_json(Method::POST, &format!("{CACHE}/promotion-keys/rotate"), &json!({})).await.expect(200);
    // A token that is revoked.
    let leaked = lab.server.token(&["--sub", "leaked", "--pull", "main", "--push", "main"]);
    let revoked = lab.server.command().args(["token", "revoke", "--subject", "leaked"]).output().unwrap();
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let leaked = lab.server.http().with_token(&leaked);
    leaked.get(&format!("{CACHE}/claims")).await.expect(401);
    let paths = [hello.as_str(), leaf.as_str()];
    let before = said(&lab, &paths).await;
    let status = |place: &str, path: &str| {
        let address = format!("/{place}/{}.narinfo", hash_part(path));
        before.iter().find(|(of, _, _)| *of == address).unwrap().1
    };
    assert_eq!((status("main@stable", &hello), status("main@stable", &leaf)), (200, 200));
    assert_eq!((status("main@bad", &hello), status("main@v1", &leaf), status("main", &leaf)), (404, 404, 200));

    assert!(lab.server.terminate().success());
    lab.server.lose_index();
    let rebuilt = lab.server.command().args(["rebuild-index", "--json"]).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    let report: Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
    assert_eq!((&report["claims"], &report["tags"], &report["revocations"]), (&json!(2), &json!(3), &json!(1)));
    lab.server.restart();

    let after = said(&lab, &paths).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after, before);
    }
    leaked.get(&format!("{CACHE}/claims")).await.expect(401);
    // Whoever trusts the promotion key gets it as before, and what is promoted is still kept from collection.
    let mut gc = lab.server.command();
    let collected = gc.args(["gc", "--grace", "0s", "--no-wait", "--json"]).output().unwrap();
    assert!(collected.status.success(), "{}", String::from_utf8_lossy(&collected.stderr));
    let keys = ada.ok(&["promote", "keys"]);
    let key = keys.lines().last().unwrap();
    let consumer = client.at_home(&lab.server, &[&format!("trusted-public-keys = {key}")]);
    let (view, root) = (format!("{}/main@stable", lab.server.url()), consumer.place("consumer"));
    consumer.ok(&["copy", "--from", &view, "--to", &root, &hello]);
    // And it goes on: the history, the numbers, and what may be gone back to.
    ada.ok(&["promote", "tag", "stable", &one, "--expect", "2"]);
    let second = lab.builder(&client, "ci-2");
    second.build(&lab, "leaf");
    let (next, _, _) = second.claim(&lab.attribute("leaf"));
    assert!(next.to_string() != one && next.to_string() != two, "{next}");
    let again = ada.client(&["promote", "rollback", "stable", "--to", "1", "--reason", "back"]);
    assert_eq!(again.code, Some(1), "its claim was revoked: {}", again.said);
}
