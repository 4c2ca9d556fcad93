//! What can be said without trusting the server, or before there is anything to verify.

use super::lab::{Lab, read, settled};
use crate::harness::{TestPath, nix::clients};

#[tokio::test]
async fn what_is_served_is_verified_from_outside() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    lab.set_policy("[corroboration]\npublic-builders = 1\n");
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let (hello, luck) = (ci.build(&lab, "hello"), ci.build(&lab, "luck"));
    let (claim, _, _) = ci.claim(&lab.attribute("hello"));
    ci.ok(&["push", "main", &luck]);

    // A path: its bytes are right, and it is clean or not.
    let words = ci.ok(&["verify", &hello]);
    assert!(words.contains("as it should be") && words.contains("P6"), "{words}");
    let unclaimed = ci.client(&["verify", &luck]);
    assert_eq!(unclaimed.code, Some(3), "{}", unclaimed.said);
    assert!(unclaimed.out.contains("nobody claims to have built it"), "{}", unclaimed.out);

    // A tag: exactly its closure, by the promotion key.
    let tag = |visibility: &str| ada.ok(&["promote", "tag", "stable", &claim.to_string(), "--visibility", visibility]);
    tag("internal");
    let export = ["promote", "export", "stable", "--surface", "hub"];
    let refused = ada.client(&export);
    assert_eq!(refused.code, Some(3), "only what is public leaves: {}", refused.said);
    tag("public");
    let key = ada.ok(&["promote", "keys"]).trim().to_owned();
    let anybody = lab.with_token(&client, "");
    let found: serde_json::Value =
        serde_json::from_str(&anybody.ok(&["verify", "main@stable", "--key", &key, "--json"])).unwrap();
    assert_eq!((found["is_intact"].as_bool(), found["paths"].as_array().unwrap().len()), (Some(true), 2), "{found:#}");
    assert!(found["paths"][0]["signed_by"][0] == "main-promoted-1", "{found:#}");
    let stranger = formats::SecretKey::generate("main-promoted-1".parse().unwrap(), [9; 32]).public_key().to_string();
    let wrong = anybody.client(&["verify", "main@stable", "--key", &stranger]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.said);
    assert!(wrong.out.contains("none of the trusted keys has signed it"), "{}", wrong.out);
    ada.ok(&["promote", "untag", "stable", "--reason", "it was a test"]);
    assert_eq!(anybody.client(&["verify", "main@stable", "--key", &key]).code, Some(3), "there is nothing to look at");
    assert_eq!(ada.client(&["verify", "main@none"]).code, Some(1));
    assert_eq!(ada.client(&["verify", "main@-"]).code, Some(2));
}

#[tokio::test]
async fn a_claim_is_tried_before_anything_is_pushed() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let check = |attribute: &str| {
        ci.build(&lab, attribute);
        let done = ci.client(&["promote", "check", &lab.attribute(attribute), "--json"]);
        let report: serde_json::Value =
            serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}{}", done.out, done.said));
        let claim = serde_json::json!({ "id": 0, "state": "tried", "report": report });
        (done.code, read(&claim).2)
    };
    let codes = |lacking: &[(String, String)]| lacking.iter().map(|(_, code)| code.clone()).collect::<Vec<_>>();
    let hello = ci.build(&lab, "hello");
    let (code, lacking) = check("hello");
    assert_eq!((code, codes(&lacking)), (Some(0), vec!["later".to_owned(), "later".to_owned()]), "{lacking:?}");
    assert_eq!(lab.narinfo("main", &hello).await, 404, "nothing was pushed");
    let http = lab.http(&["--sub", "reader", "--pull", "main"]);
    assert_eq!(http.get("/_flywheel/v1/caches/main/claims").await.expect(200).text(), "[]", "nothing was claimed");
    for (attribute, code) in [("unclean", "flag"), ("sources", "denied-name")] {
        let (status, lacking) = check(attribute);
        assert_eq!(status, Some(1));
        assert!(codes(&lacking).contains(&code.to_owned()), "{attribute}: {lacking:?}");
    }
}

/// A second builder need not claim anything to be heard: what it pushes is enough.
#[tokio::test]
async fn a_push_of_other_bytes_is_a_disagreement() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let leaf = ci.build(&lab, "leaf");
    let (claim, state, lacking) = ci.claim(&lab.attribute("leaf"));
    assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
    let mut other = TestPath::small("other");
    other.info.path = leaf.rsplit('/').next().unwrap().parse().unwrap();
    let divergences = async || {
        let metrics = lab.server.http().get("/metrics").await.expect(200).text();
        metrics
            .lines()
            .find_map(|line| line.strip_prefix("flywheel_divergences_total{cache=\"main\"} "))
            .unwrap()
            .to_owned()
    };
    // A builder whose build comes out differently each time does not disagree with itself.
    lab.http(&["--sub", "ci-1", "--cache", "main"]).upload("main", &other).await.expect(200);
    assert_eq!(divergences().await, "0");
    lab.http(&["--sub", "ci-2", "--cache", "main"]).upload("main", &other).await.expect(200);
    assert_eq!(divergences().await, "1");
    let words = ada.ok(&["explain", &leaf]);
    assert!(words.contains("ci-2 saw the NAR hash") && words.contains("Builders disagree"), "{words}");
    let refused = ada.client(&["promote", "tag", "stable", &claim.to_string()]);
    assert!(refused.code == Some(1) && refused.said.contains("builders disagree"), "{}", refused.said);
    ci.ok(&["promote", "verify", &claim.to_string()]);
    let (_, lacking) = settled(&lab, claim).await;
    assert_eq!(lacking, [("P10".to_owned(), "divergence".to_owned())]);
}
