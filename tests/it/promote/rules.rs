//! What is asked of claims: a policy of the cache's own, and checks that others attest.

use formats::SecretKey;
use reqwest::Method;
use serde_json::{Value, json};

use super::lab::{Lab, read, settled};
use crate::{harness::nix::clients, routes::said};

const CACHE: &str = "/_flywheel/v1/caches/main";

#[tokio::test]
async fn a_cache_may_have_a_policy_of_its_own() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    ci.build(&lab, "hello");
    let (claim, state, lacking) = ci.claim(&lab.attribute("hello"));
    assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
    let address = format!("{CACHE}/policy");
    let rules = |section: &str, rules: Value| {
        let mut all = json!({ "version": "own", "source": { "schemes": ["git+file"] } });
        all[section] = rules;
        all
    };
    let wanted = |rules: Value, expected: i64| json!({ "rules": rules, "expected": expected });
    let strict = rules("class", json!({ "deny-names": ["hello-*"] }));

    // Neither by whoever promotes nor by whoever pushes: it takes two to promote what the policy did not allow.
    for token in
        [&["--sub", "ada", "--pull", "main", "--promote", "main"], &["--sub", "ci", "--pull", "main", "--push", "main"]]
    {
        lab.http(token).send_json(Method::PUT, &address, &wanted(strict.clone(), 0)).await.expect(403);
    }
    let admin = lab.server.admin();
    let put = async |body: Value| admin.send_json(Method::PUT, &address, &body).await;
    for (bad, refusal) in [
        (wanted(rules("clas", json!({})), 0), "400 RequestError"),
        (wanted(rules("class", json!({ "attributes": 1 })), 0), "400 RequestError"),
        (wanted(strict.clone(), -1), "400 RequestError"),
        (wanted(strict.clone(), 5), "409 PolicyChanged"),
        (json!({}), "400 RequestError"),
    ] {
        assert_eq!(said(&put(bad.clone()).await), refusal, "{bad}");
    }
    let before = admin.get(&address).await.expect(200).json();
    assert_eq!((&before["version"], &before["number"]), (&json!("it-1"), &json!(0)));

    let set = put(wanted(strict.clone(), 0)).await.expect(200).json();
    assert_eq!(set["number"], 1);
    assert_eq!(said(&put(wanted(strict, 0)).await), "409 PolicyChanged", "somebody was first");
    let now = admin.get(&address).await.expect(200).json();
    assert_eq!((&now["version"], &now["number"]), (&json!("own"), &json!(1)));
    assert_ne!(now["digest"], before["digest"]);
    // What was clean under another policy is not promoted under this one.
    let refused = ada.client(&["promote", "tag", "stable", &claim.to_string()]);
    assert!(refused.code == Some(1) && refused.said.contains("another policy"), "{}", refused.said);
    lab.server.restart();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    ci.ok(&["promote", "verify", &claim.to_string()]);
    let denied = ("clean".to_owned(), vec![("P12".to_owned(), "denied-derivation".to_owned())]);
    assert_eq!(settled(&lab, claim).await, denied);
    let audit = lab.server.command().args(["audit", "list"]).output().unwrap();
    let audit = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.contains("policy.set"), "{audit}");

    // And back to the server's, by the command line.
    let token = lab.server.admin_token();
    let by_admin = lab.with_token(&client, &token);
    by_admin.ok(&["promote", "policy", "--unset"]);
    assert!(by_admin.ok(&["promote", "policy"]).contains("version = \"it-1\""));
    ada.ok(&["promote", "tag", "stable", &claim.to_string()]);
    let file = by_admin.nix.file("own.toml", "version = \"own-2\"\n[source]\nschemes = [\"git+file\"]\n");
    let set: Value = serde_json::from_str(&by_admin.ok(&["promote", "policy", "--set", &file, "--json"])).unwrap();
    assert_eq!((&set["number"], &set["rules"]["version"]), (&json!(3), &json!("own-2")));
    let history = lab.server.admin().get(&format!("{CACHE}/policy/history")).await.expect(200).json();
    assert_eq!(history.as_array().unwrap().len(), 3);

    // The storage remembers it, too.
    assert!(lab.server.terminate().success());
    lab.server.lose_index();
    let rebuilt = lab.server.command().args(["rebuild-index"]).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    lab.server.restart();
    let now = lab.server.admin().get(&address).await.expect(200).json();
    assert_eq!((&now["version"], &now["number"]), (&json!("own-2"), &json!(3)));
}

#[tokio::test]
async fn checks_may_have_to_be_attested() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let key = |seed| SecretKey::generate("checks-1".parse().unwrap(), [seed; 32]);
    let (good, other) = (key(7), key(8));
    let check = "nix flake check";
    lab.set_policy(&format!("[checks]\nrequired = [\"{check}\"]\nkeys = [\"{}\"]\n", good.public_key()));
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    ci.build(&lab, "leaf");
    let done = ci.client(&["promote", "claim", &lab.attribute("leaf"), "--wait", "--json", "--check", check]);
    let (claim, state, lacking) = read(&serde_json::from_str(&done.out).unwrap());
    let p11 = |code: &str| vec![("P11".to_owned(), code.to_owned())];
    assert_eq!((state.as_str(), &lacking), ("clean", &p11("no-check")), "the builder's word is not enough");
    let id = claim.to_string();
    let refused = ada.client(&["promote", "tag", "stable", &id]);
    assert!(refused.code == Some(1) && refused.said.contains("P11"), "{}", refused.said);

    // By a key of that name, but another one.
    let (good, other) = (ci.nix.file("good", &good.to_text()), ci.nix.file("other", &other.to_text()));
    let done = ci.client(&["promote", "attest", &id, "--check", check, "--key-file", &other]);
    assert!(done.code == Some(0) && done.said.contains("counts for nothing"), "{}", done.said);
    assert_eq!(settled(&lab, claim).await, ("clean".to_owned(), p11("no-check")));
    assert_eq!(ci.client(&["promote", "attest", &id, "--check", check]).code, Some(2), "there is no key");
    ci.ok(&["promote", "attest", &id, "--check", check, "--key-file", &good]);
    assert_eq!(settled(&lab, claim).await, ("clean".to_owned(), vec![]));
    ada.ok(&["promote", "tag", "stable", &id]);

    // An envelope is about its outputs, and no others.
    let http = lab.http(&["--sub", "ci-1", "--cache", "main"]);
    let sent = http.get(&format!("{CACHE}/claims/{id}/attestations")).await.expect(200).json();
    assert_eq!(sent.as_array().unwrap().len(), 2);
    ci.build(&lab, "hello");
    let (hello, _, _) = ci.claim(&lab.attribute("hello"));
    let address = format!("{CACHE}/claims/{hello}/attestations");
    let post = async |body: &Value| said(&http.send_json(Method::POST, &address, body).await);
    assert_eq!(post(&sent[1]["envelope"]).await, "422 InvalidAttestation");
    assert_eq!(
        post(&json!({ "payloadType": "text/plain", "payload": "", "signatures": [] })).await,
        "422 InvalidAttestation"
    );
    assert_eq!(post(&json!({})).await, "400 RequestError");
    lab.http(&["--sub", "x", "--pull", "main"]).send_json(Method::POST, &address, &json!({})).await.expect(403);

    // One that failed counts, too, and the storage remembers all of them.
    ci.ok(&["promote", "attest", &id, "--failed", check, "--key-file", &good]);
    assert_eq!(settled(&lab, claim).await, ("clean".to_owned(), p11("check-failed")));
    assert!(lab.server.terminate().success());
    lab.server.lose_index();
    let rebuilt = lab.server.command().args(["rebuild-index"]).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    lab.server.restart();
    let http = lab.http(&["--sub", "ci-1", "--cache", "main"]);
    let again = http.get(&format!("{CACHE}/claims/{id}/attestations")).await.expect(200).json();
    assert_eq!(again.as_array().unwrap().len(), 3);
}
