//! Each predicate where it alone does not hold, as far as real Nix does not get there by itself.

use reqwest::Method;
use serde_json::{Value, json};

use super::lab::{Lab, read, settled};
use crate::{
    harness::nix::clients,
    routes::{create_cache, said},
};

const CLAIMS: &str = "/_flywheel/v1/caches/main/claims";

/// What a builder could claim of the same build, and which predicate answers.
#[tokio::test]
async fn what_a_claim_says_is_judged() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    ci.build(&lab, "hello");
    let (id, state, _) = ci.claim(&lab.attribute("hello"));
    assert_eq!(state, "clean");
    let http = lab.http(&["--sub", "ci-1", "--cache", "main"]);
    let whole = http.get(&format!("{CLAIMS}/{id}")).await.expect(200).json();
    let hash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    let input = |claim: &mut Value, locked: Value| {
        claim["source"]["lock_digest"] = whole["report"]["manifest_digest"].clone();
        claim["source"]["locks"]["nodes"]["dependency"] = json!({ "locked": locked });
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, &str, &str, Change<'_>); 9] = [
        ("rejected", "P1", "unlocked-input", &|claim| input(claim, Value::Null)),
        ("rejected", "P1", "unlocked-input", &|claim| input(claim, json!({ "type": "github", "rev": "x" }))),
        ("rejected", "P1", "input-scheme", &|claim| {
            input(claim, json!({ "type": "path", "path": "/home/me", "narHash": hash }));
        }),
        ("rejected", "P1", "no-revision", &|claim| claim["source"]["locked"]["rev"] = json!("main")),
        ("rejected", "P1", "no-flake", &|claim| claim["source"] = Value::Null),
        ("rejected", "P2", "impure", &|claim| claim["evaluation"]["pure"] = json!(false)),
        ("rejected", "P2", "override", &|claim| claim["evaluation"]["overrides"] = json!(["dependency"])),
        ("clean", "P12", "attribute", &|claim| claim["attribute"] = json!("checks.x86_64-linux.hello")),
        ("clean", "P12", "no-attribute", &|claim| claim["attribute"] = Value::Null),
    ];
    let promoter = lab.http(&["--sub", "ada", "--pull", "main", "--promote", "main"]);
    for (number, (state, predicate, code, change)) in cases.into_iter().enumerate() {
        let mut claim = whole["claim"].clone();
        change(&mut claim);
        let filed = http.send_json(Method::POST, CLAIMS, &claim).await.expect(202).json();
        let id = filed["id"].as_i64().unwrap();
        let (found, lacking) = settled(&lab, id).await;
        assert_eq!((found.as_str(), &lacking[..]), (state, &[(predicate.to_owned(), code.to_owned())][..]), "{number}");
        let wanted = json!({ "claims": [id], "kind": "channel", "visibility": "internal", "expected": 0 });
        let tag = format!("/_flywheel/v1/caches/main/tags/case-{number}");
        let refused = promoter.send_json(Method::PUT, &tag, &wanted).await;
        assert_eq!(said(&refused), "422 NotClean");
        assert!(refused.text().contains(&format!("{predicate}: ")), "{}", refused.text());
    }
}

/// What a policy asks of who built, who agrees and what was checked.
#[tokio::test]
async fn what_the_policy_asks_is_judged() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    ci.build(&lab, "hello");
    let (id, _, lacking) = ci.claim(&lab.attribute("hello"));
    assert_eq!(lacking, []);
    for (policy, predicate, code) in [
        ("[builders]\nsubjects = [\"trusted-*\"]\n", "P9", "builder"),
        ("[builders]\nrepositories = [\"o/*\"]\n", "P9", "repository"),
        ("[builders]\nrefs = [\"refs/heads/main\"]\n", "P9", "ref"),
        ("[corroboration]\nbuilders = 2\n", "P10", "too-few-builders"),
        ("[checks]\nrequired = [\"nix flake check\"]\n", "P11", "no-check"),
        ("[class]\ndeny-names = [\"hello-*\"]\n", "P12", "denied-derivation"),
    ] {
        lab.set_policy(policy);
        ci.ok(&["promote", "verify", &id.to_string()]);
        let (state, lacking) = settled(&lab, id).await;
        assert_eq!((state.as_str(), &lacking[..]), ("clean", &[(predicate.to_owned(), code.to_owned())][..]));
        let refused = ada.client(&["promote", "tag", "stable", &id.to_string()]);
        assert!(refused.code == Some(1) && refused.said.contains(&format!("{predicate}: ")), "{}", refused.said);
        let words = ada.ok(&["explain", &lab.path_of(id).await]);
        assert!(words.contains("cannot be promoted as it is") && words.contains(predicate), "{words}");
    }
    // These make it no less clean, but unfit.
    for (policy, predicate, code) in [
        ("[derivation]\nrequire-sandbox = true\n", "P3", "no-sandbox"),
        ("[closure]\nmax-paths = 1\n", "P5", "too-large"),
    ] {
        lab.set_policy(policy);
        ci.ok(&["promote", "verify", &id.to_string()]);
        let (state, lacking) = settled(&lab, id).await;
        assert_eq!(state, "rejected");
        assert!(lacking.contains(&(predicate.to_owned(), code.to_owned())), "{lacking:?}");
    }
    // What was verified under another policy is not promoted under this one.
    lab.set_policy("[content]\nallow-names = [\"x\"]\n");
    let refused = ada.client(&["promote", "tag", "stable", &id.to_string()]);
    assert!(refused.code == Some(1), "{}", refused.said);
    ci.ok(&["promote", "verify", &id.to_string()]);
    settled(&lab, id).await;
    ada.ok(&["promote", "tag", "stable", &id.to_string()]);
}

/// A path may be in a named upstream instead, if that has signed it.
#[tokio::test]
async fn a_signed_upstream_completes_a_closure() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let (hello, leaf) = (ci.build(&lab, "hello"), ci.build(&lab, "leaf"));
    create_cache(&lab.server.admin(), "upstream", true).await;
    let token = lab.server.token(&["--cache", "*"]);
    ci.nix.push(&lab.server, &ci.root, &token, &["push", "main", "--no-closure", &hello]);
    ci.nix.push(&lab.server, &ci.root, &token, &["push", "upstream", &leaf]);
    let done = ci.client(&["promote", "claim", &lab.attribute("hello"), "--wait", "--json", "--no-push"]);
    let (id, state, lacking) = read(&serde_json::from_str(&done.out).unwrap());
    assert_eq!((state.as_str(), &lacking[..]), ("stalled", &[("P5".to_owned(), "missing-path".to_owned())][..]));

    let url = format!("{}/upstream", lab.server.url());
    let http = lab.server.http();
    let (main, upstream) = (http.public_key("main").await.to_string(), http.public_key("upstream").await.to_string());
    let verified = async |lab: &Lab| {
        ci.ok(&["promote", "verify", &id.to_string()]);
        settled(lab, id).await
    };
    let policy = |url: &str, key: &str| format!("[closure]\nupstreams = [{{ url = \"{url}\", keys = [\"{key}\"] }}]\n");
    for (policy, code) in [
        // What it has not signed with that key is as good as not there.
        (policy(&url, &main), "missing-path"),
        (policy(&format!("{}/nowhere", lab.server.url()), &upstream), "missing-path"),
        (policy("http://127.0.0.1:9", &upstream), "upstream-away"),
    ] {
        lab.set_policy(&policy);
        let (state, lacking) = verified(&lab).await;
        assert_eq!(state, "stalled");
        assert!(lacking.iter().all(|(predicate, _)| predicate == "P5"), "{lacking:?}");
        assert!(lacking.iter().any(|(_, found)| found == code), "{lacking:?}");
    }
    lab.set_policy(&policy(&url, &upstream));
    assert_eq!(verified(&lab).await, ("clean".to_owned(), vec![]));
    ada.ok(&["promote", "tag", "stable", &id.to_string()]);
    // The view has what is here; the rest comes from the upstream, which the manifest names with its signature.
    assert_eq!((lab.narinfo("main@stable", &hello).await, lab.narinfo("main@stable", &leaf).await), (200, 404));
    let reader = lab.http(&["--sub", "ada", "--pull", "main"]);
    let manifest = reader.get("/_flywheel/v1/caches/main/tags/stable/manifest").await.expect(200).json();
    let origin = |path: &str| {
        let name = path.rsplit('/').next().unwrap();
        let paths = manifest["paths"].as_array().unwrap();
        paths.iter().find(|one| one["path"] == name).unwrap()["origin"].clone()
    };
    assert_eq!(origin(&hello), "cache");
    let from = origin(&leaf)["upstream"].clone();
    assert_eq!((&from["key"], from["signature"].is_string()), (&json!("upstream"), true), "{from}");
}
