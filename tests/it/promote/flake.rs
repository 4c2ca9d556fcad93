//! A small flake goes all the way: built twice, claimed, verified, promoted, substituted, exported, taken back.

use data_encoding::BASE64;
use formats::{PublicKey, Signature};
use serde_json::{Value, json};

use super::lab::Lab;
use crate::harness::nix::{clients, pairs};

#[tokio::test]
async fn what_two_builders_agree_on_is_promoted_and_substituted() {
    for (one, two) in pairs() {
        let lab = Lab::new();
        let (first, second, ada) = (lab.builder(&one, "ci-1"), lab.builder(&two, "ci-2"), lab.promoter(&two));
        let hello = first.build(&lab, "hello");
        let leaf = first.build(&lab, "leaf");
        let (claim, state, lacking) = first.claim(&lab.attribute("hello"));
        assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
        let number = claim.to_string();

        // Clean is not promoted, and one builder is not enough for the world.
        assert_eq!(lab.narinfo("main@stable", &hello).await, 401, "whether there is such a tag is told to nobody");
        let alone = ada.client(&["promote", "tag", "stable", &number, "--visibility", "public"]);
        assert_eq!(alone.code, Some(1));
        assert!(alone.said.contains("P10") && alone.said.contains("1 of 2"), "{}", alone.said);
        ada.ok(&["promote", "tag", "stable", &number]);

        // Another store, another Nix, another token.
        assert_eq!(second.build(&lab, "hello"), hello);
        let (again, state, _) = second.claim(&lab.attribute("hello"));
        assert!(again != claim && state == "clean");
        ada.ok(&["promote", "tag", "stable", &again.to_string(), "--visibility", "public"]);

        // Whoever trusts the promotion key alone gets it through the view, and not from the plain cache.
        let key: PublicKey = ada.ok(&["promote", "keys"]).trim().parse().unwrap();
        assert_eq!(key.name().as_str(), "main-promoted-1");
        let consumer = two.at_home(&lab.server, &[&format!("trusted-public-keys = {key}")]);
        let (view, plain) = (format!("{}/main@stable", lab.server.url()), format!("{}/main", lab.server.url()));
        let root = consumer.place("consumer");
        consumer.ok(&["copy", "--from", &view, "--to", &root, &hello]);
        let verified = ["nix-store", "--store", &root, "--verify-path", &hello, &leaf];
        consumer.ok(&verified);
        let empty = consumer.place("empty");
        let said = consumer.fails(&["copy", "--from", &plain, "--to", &empty, &hello]);
        assert!(said.contains("signature"), "{said}");
        consumer.fails(&["nix-store", "--store", &empty, "--verify-path", &hello]);
        // As a substituter, too.
        let options = ["--option", "substituters", view.as_str()];
        let realised = consumer.place("realised");
        consumer.ok(&[&["nix-store", "--store", realised.as_str(), "--realise", &hello], &options[..]].concat());

        // Nothing else is in the view.
        let luck = first.build(&lab, "luck");
        first.nix.push(&lab.server, &first.root, &lab.server.token(&["--cache", "main"]), &["push", "main", &luck]);
        assert_eq!(lab.narinfo("main", &luck).await, 200);
        assert_eq!(lab.narinfo("main@stable", &luck).await, 404);
        let listing = format!("/main@stable/{}.ls", crate::harness::nix::hash_part(&hello));
        assert!(lab.server.http().get(&listing).await.expect(200).text().contains("hello"));
        let drv = first.nix.ok(&["eval", "--raw", &format!("{}.drvPath", lab.attribute("hello"))]);
        for place in ["main", "main@stable"] {
            assert_eq!(lab.narinfo(place, &drv).await, 404, "evidence is given out nowhere");
            let name = drv.rsplit('/').next().unwrap();
            lab.server.http().get(&format!("/{place}/log/{name}")).await.expect(404);
        }

        // What leaves is signed by the same key.
        let out = ada.place("export");
        ada.ok(&["promote", "export", "stable", "--surface", "flakehub", "--out", &out]);
        let read = |name: &str| std::fs::read_to_string(format!("{out}/{name}")).unwrap();
        check_export(&read, &key, &hello, &leaf);

        // Words for people.
        let words = ada.ok(&["explain", &hello]);
        for word in ["pushed by ci-1", "it is clean under policy it-1", "ada moved stable", "anybody"] {
            assert!(words.contains(word), "{word}: {words}");
        }
        let words = ada.ok(&["explain", "stable"]);
        assert!(words.contains("public tag (channel), at revision 2"), "{words}");
        let unclaimed = ada.ok(&["explain", &luck]);
        assert!(unclaimed.contains("Nobody claims to have built it"), "{unclaimed}");
        assert!(ada.ok(&["candidates"]).contains("can be promoted, also publicly"));

        // Taken back: neither view nor signature is there any more.
        ada.ok(&["promote", "revoke", &again.to_string(), "--reason", "the key of ci-2 leaked"]);
        assert_eq!(lab.narinfo("main@stable", &hello).await, 404);
        assert_eq!(lab.narinfo("main", &hello).await, 200);
        assert!(ada.ok(&["explain", &hello]).contains("was revoked: the key of ci-2 leaked"));
        // The earlier revision rested on the other claim.
        ada.ok(&["promote", "rollback", "stable", "--to", "1", "--reason", "back to ci-1"]);
        assert_eq!(lab.narinfo("main@stable", &hello).await, 200);
    }
}

fn check_export(read: &dyn Fn(&str) -> String, key: &PublicKey, hello: &str, leaf: &str) {
    let manifest = read("manifest.json");
    let paths: Vec<String> = serde_json::from_str::<Value>(&manifest).unwrap()["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| format!("/nix/store/{}", path["path"].as_str().unwrap()))
        .collect();
    assert_eq!(paths.len(), 2);
    assert!(paths.contains(&hello.to_owned()) && paths.contains(&leaf.to_owned()));
    let receipt: Value = serde_json::from_str(&read("receipt.json")).unwrap();
    assert_eq!((&receipt["surface"], &receipt["exported_by"]), (&json!("flakehub"), &json!("ada")));

    let envelope: Value = serde_json::from_str(read("provenance.intoto.jsonl").lines().next().unwrap()).unwrap();
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let kind = envelope["payloadType"].as_str().unwrap();
    let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let signature = &envelope["signatures"][0];
    let signature: Signature =
        format!("{}:{}", signature["keyid"].as_str().unwrap(), signature["sig"].as_str().unwrap()).parse().unwrap();
    assert!(key.verify(&signed, &signature));
    let statement: Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["name"], hello);
    let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(dependencies[0]["digest"]["gitCommit"].as_str().unwrap().len(), 40);

    let sbom: Value = serde_json::from_str(&read("sbom.spdx.json")).unwrap();
    assert_eq!((&sbom["spdxVersion"], sbom["packages"].as_array().unwrap().len()), (&json!("SPDX-2.3"), 2));
    let depends =
        sbom["relationships"].as_array().unwrap().iter().filter(|one| one["relationshipType"] == "DEPENDS_ON");
    assert_eq!(depends.count(), 1);
}

/// A cache that only few may see has a view for everybody, and nothing else.
#[tokio::test]
async fn a_private_cache_has_a_public_view() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    lab.set_policy("[corroboration]\npublic-builders = 1\n");
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let hello = ci.build(&lab, "hello");
    let (claim, state, _) = ci.claim(&lab.attribute("hello"));
    assert_eq!(state, "clean");
    let private = json!({ "is_public": false });
    let admin = lab.server.admin();
    admin.send_json(reqwest::Method::PATCH, "/_api/v1/cache-config/main", &private).await.expect(200);
    let claim = claim.to_string();
    for (visibility, expected) in [("local-only", 401), ("internal", 401), ("public", 200)] {
        ada.ok(&["promote", "tag", "v1", &claim, "--visibility", visibility]);
        assert_eq!(lab.narinfo("main@v1", &hello).await, expected, "{visibility}");
    }
    assert_eq!(lab.narinfo("main", &hello).await, 401);
    assert_eq!(lab.narinfo("main@other", &hello).await, 401, "which tags there are is not told");
    ada.ok(&["promote", "show", "v1", "internal"]);
    assert_eq!(lab.narinfo("main@v1", &hello).await, 401);
}

/// Outside flakes a claim names a derivation, and the policy must allow that.
#[tokio::test]
async fn a_plain_derivation_can_be_claimed() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let leaf = ci.build(&lab, "leaf");
    let drv = ci.nix.ok(&["eval", "--raw", &format!("{}.drvPath", lab.attribute("leaf"))]);
    ci.nix.ok(&["copy", "--no-check-sigs", "--to", &ci.root, "--derivation", &drv]);
    let (_, state, lacking) = ci.claim(&drv);
    let codes: Vec<&str> = lacking.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!((state.as_str(), &codes[..]), ("rejected", &["no-flake", "impure", "no-attribute"][..]));

    lab.set_policy(
        "require-flake = false\n[evaluation]\nrequire-pure = false\n[class]\nallow-without-attribute = true\n",
    );
    let ci = lab.builder(&client, "ci-2");
    ci.nix.ok(&["copy", "--no-check-sigs", "--to", &ci.root, &leaf]);
    ci.nix.ok(&["copy", "--no-check-sigs", "--to", &ci.root, "--derivation", &drv]);
    let (claim, state, lacking) = ci.claim(&drv);
    assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
    lab.promoter(&client).ok(&["promote", "tag", "v1", &claim.to_string(), "--release"]);
    let fixed = lab.promoter(&client).client(&["promote", "tag", "v1", &claim.to_string(), "--release"]);
    assert!(fixed.code == Some(1) && fixed.said.contains("made once"), "{}", fixed.said);
}
