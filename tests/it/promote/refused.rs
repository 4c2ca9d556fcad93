//! What is not clean, and the one predicate that says so.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use formats::SecretKey;
use reqwest::Method;
use serde_json::json;

use super::lab::{Builder, Lab, nar_hash, read, settled};
use crate::harness::nix::clients;

#[track_caller]
fn refused(builder: &Builder, lab: &Lab, attribute: &str, predicate: &str, code: &str) {
    builder.build(lab, attribute);
    let (_, state, lacking) = builder.claim(&lab.attribute(attribute));
    let expected = [(predicate.to_owned(), code.to_owned())];
    assert_eq!((state.as_str(), &lacking[..]), ("rejected", &expected[..]), "{attribute}");
}

#[tokio::test]
async fn each_fault_fails_its_own_predicate() {
    for client in clients() {
        let lab = Lab::new();
        let ci = lab.builder(&client, "ci-1");
        refused(&ci, &lab, "unclean", "P3", "flag");
        refused(&ci, &lab, "secret", "P8", "secret");
        refused(&ci, &lab, "sources", "P8", "denied-name");
        let stored = ci.client(&["promote", "status", "--json"]).out;
        assert!(!stored.contains("b3BlbnNzaC1rZXk"), "a secret does not get into what is said of it");
        lab.make_dirty();
        ci.build(&lab, "hello");
        let (_, state, lacking) = ci.claim(&lab.attribute("hello"));
        assert_eq!(state, "rejected");
        assert!(!lacking.is_empty() && lacking.iter().all(|(predicate, _)| predicate == "P1"), "{lacking:?}");
    }
}

/// A reference that Nix was kept from seeing.
#[tokio::test]
async fn a_hidden_reference_is_found() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    refused(&ci, &lab, "hidden", "P8", "undeclared-reference");
}

#[tokio::test]
async fn a_dev_shell_is_clean_and_not_promoted() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let attribute = format!("devShells.{}-linux.default", std::env::consts::ARCH);
    ci.build(&lab, &attribute);
    let (claim, state, lacking) = ci.claim(&lab.attribute(&attribute));
    assert_eq!(state, "clean");
    assert_eq!(lacking, [("P12".to_owned(), "attribute".to_owned())]);
    let refused = lab.promoter(&client).client(&["promote", "tag", "stable", &claim.to_string()]);
    assert!(refused.code == Some(1) && refused.said.contains("P12"), "{}", refused.said);
}

/// The store path that is claimed is not the one that the derivation comes to.
#[tokio::test]
async fn a_forged_output_path_is_found_out() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let leaf = ci.build(&lab, "leaf");
    ci.build(&lab, "hello");
    let (id, _, _) = ci.claim(&lab.attribute("hello"));
    let http = lab.http(&["--sub", "mallory", "--cache", "main"]);
    let mut claim =
        http.get(&format!("/_flywheel/v1/caches/main/claims/{id}")).await.expect(200).json()["claim"].take();
    let nar_hash = nar_hash(&lab, &leaf).await;
    claim["outputs"]["out"] = json!({ "path": leaf.rsplit('/').next().unwrap(), "nar_hash": nar_hash });
    let filed = http.send_json(Method::POST, "/_flywheel/v1/caches/main/claims", &claim).await.expect(202).json();
    let (state, lacking) = settled(&lab, filed["id"].as_i64().unwrap()).await;
    assert_eq!((state.as_str(), &lacking[..]), ("rejected", &[("P4".to_owned(), "wrong-output-path".to_owned())][..]));
}

/// A builder that got something else blocks promotion, until an admin says which is right, and why.
#[tokio::test]
async fn disagreement_blocks_until_it_is_settled() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let hello = ci.build(&lab, "hello");
    let (claim, _, _) = ci.claim(&lab.attribute("hello"));
    let other = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    let seen = json!([{ "path": hello.rsplit('/').next().unwrap(), "nar_hash": other }]);
    let second = lab.http(&["--sub", "ci-2", "--cache", "main"]);
    let answer = second.send_json(Method::POST, "/_flywheel/v1/caches/main/observations", &seen).await.expect(200);
    assert_eq!(answer.json()["disputed"].as_array().unwrap().len(), 1);
    let claim = claim.to_string();
    let blocked = ada.client(&["promote", "tag", "stable", &claim]);
    assert!(blocked.code == Some(1) && blocked.said.contains("builders disagree"), "{}", blocked.said);
    let words = ada.ok(&["explain", &hello]);
    assert!(words.contains("ci-2 saw the NAR hash sha256:0mdqa9w1p6"), "{words}");
    let metrics = lab.server.http().get("/metrics").await.expect(200).text();
    assert!(metrics.contains("flywheel_divergences_total{cache=\"main\"} 1"), "{metrics}");

    // Not by whoever promotes, and not without a reason.
    let right = nar_hash(&lab, &hello).await;
    let name = hello.rsplit('/').next().unwrap();
    let address = format!("/_flywheel/v1/caches/main/divergences/{name}/resolve");
    let settle = |reason: &str| json!({ "nar_hash": right, "reason": reason });
    let promoter = lab.http(&["--sub", "ada", "--pull", "main", "--promote", "main"]);
    promoter.send_json(Method::POST, &address, &settle("because")).await.expect(403);
    lab.server.admin().send_json(Method::POST, &address, &settle(" ")).await.expect(400);
    lab.server.admin().send_json(Method::POST, &address, &settle("ci-2 has a bad disk")).await.expect(204);
    ada.ok(&["promote", "tag", "stable", &claim]);
}

/// A flipped byte: the NAR is quarantined, the claim is not clean any more, and its closure leaves the view.
#[tokio::test]
async fn damage_is_found_and_hides_the_closure() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    if lab.server.backing().files(&lab.server.data_dir()).is_none() {
        return; // Somebody else's service does not let its objects be changed.
    }
    let (ci, ada) = (lab.builder(&client, "ci-1"), lab.promoter(&client));
    let leaf = ci.build(&lab, "leaf");
    let before = packs(&lab);
    ci.nix.push(&lab.server, &ci.root, &lab.server.token(&["--cache", "main"]), &["push", "main", &leaf]);
    let hello = ci.build(&lab, "hello");
    let pack = packs(&lab).into_iter().find(|pack| !before.contains(pack)).unwrap();
    let (claim, _, _) = ci.claim(&lab.attribute("hello"));
    ada.ok(&["promote", "tag", "stable", &claim.to_string()]);
    assert_eq!((lab.narinfo("main@stable", &hello).await, lab.narinfo("main@stable", &leaf).await), (200, 200));

    let file = File::options().read(true).write(true).open(pack).unwrap();
    let mut start = [0; 64];
    file.read_exact_at(&mut start, 0).unwrap();
    // The first frame of the only path in that pack.
    let frame = start.windows(4).position(|four| four == [0x28, 0xb5, 0x2f, 0xfd]).expect("a zstd frame") as u64;
    let mut byte = [0];
    file.read_exact_at(&mut byte, frame + 12).unwrap();
    file.write_all_at(&[byte[0] ^ 1], frame + 12).unwrap();
    ci.ok(&["promote", "verify", &claim.to_string()]);
    let (state, lacking) = settled(&lab, claim).await;
    assert_eq!((state.as_str(), &lacking[..]), ("rejected", &[("P6".to_owned(), "damaged".to_owned())][..]));
    for path in [&hello, &leaf] {
        assert_eq!(lab.narinfo("main@stable", path).await, 404, "a closure with damage is not shown");
    }
    assert_eq!((lab.narinfo("main", &hello).await, lab.narinfo("main", &leaf).await), (200, 404));
    // Pushed again it is whole, and what was promoted is there again.
    ci.nix.push(&lab.server, &ci.root, &lab.server.token(&["--cache", "main"]), &["push", "main", &leaf]);
    assert_eq!((lab.narinfo("main@stable", &hello).await, lab.narinfo("main@stable", &leaf).await), (200, 200));
}

/// A path that is missing is waited for.
#[tokio::test]
async fn a_missing_reference_is_waited_for() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let hello = ci.build(&lab, "hello");
    let token = lab.server.token(&["--cache", "main"]);
    ci.nix.push(&lab.server, &ci.root, &token, &["push", "main", "--no-closure", &hello]);
    let done = ci.client(&["promote", "claim", &lab.attribute("hello"), "--wait", "--json", "--no-push"]);
    let (id, state, lacking) = read(&serde_json::from_str(&done.out).unwrap());
    assert_eq!((done.code, state.as_str()), (Some(3), "stalled"), "{}", done.said);
    assert_eq!(lacking, [("P5".to_owned(), "missing-path".to_owned())]);
    ci.nix.push(&lab.server, &ci.root, &token, &["push", "main", &hello]);
    ci.ok(&["promote", "verify", &id.to_string()]);
    assert_eq!(settled(&lab, id).await.0, "clean");
}

/// A signature by a key that nobody knows, and the same when the policy knows it.
#[tokio::test]
async fn a_foreign_signature_is_told() {
    let Some(client) = clients().into_iter().next() else { return };
    let mut lab = Lab::new();
    let ci = lab.builder(&client, "ci-1");
    let leaf = ci.build(&lab, "leaf");
    let key = SecretKey::generate("stranger-1".parse().unwrap(), [5; 32]);
    let file = ci.nix.file("key", &key.to_text());
    ci.nix.ok(&["store", "sign", "--store", &ci.root, "--key-file", &file, &leaf]);
    let (id, state, lacking) = ci.claim(&lab.attribute("leaf"));
    assert_eq!((state.as_str(), &lacking[..]), ("rejected", &[("P7".to_owned(), "foreign-signature".to_owned())][..]));
    lab.set_policy(&format!("[signatures]\nkeys = [\"{}\"]\n", key.public_key()));
    lab.builder(&client, "ci-1").ok(&["promote", "verify", &id.to_string()]);
    assert_eq!(settled(&lab, id).await, ("clean".to_owned(), vec![]));
}

fn packs(lab: &Lab) -> Vec<std::path::PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            if entry.metadata().unwrap().is_dir() {
                collect(&entry.path(), into);
            } else {
                into.push(entry.path());
            }
        }
    }
    let mut packs = Vec::new();
    let files = lab.server.backing().files(&lab.server.data_dir()).expect("a folder with the objects");
    collect(&files.join("packs"), &mut packs);
    packs
}
