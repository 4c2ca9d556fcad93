//! Any binary cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use formats::SecretKey;

use super::{run, said};
use crate::harness::{
    Server,
    nix::{Closure, Nix, clients, hash_part},
};

/// A closure in a folder, signed with a key of its own, as Nix makes it.
fn folder(nix: &Nix, closure: &Closure, compression: &str) -> (String, String) {
    let secret = SecretKey::generate("builder-1".parse().unwrap(), [3; 32]);
    let file = nix.file("secret", &secret.to_text());
    let folder = nix.place(&format!("folder-{compression}"));
    let to = format!("file://{folder}?compression={compression}&secret-key={file}");
    nix.ok(&["copy", "--no-check-sigs", "--to", &to, &closure.top]);
    (folder, secret.public_key().to_string())
}

/// A stopped server whose public cache is `main`.
fn stopped() -> Server {
    let mut server = Server::new();
    assert!(server.terminate().success());
    server
}

fn largest_nar(folder: &str) -> PathBuf {
    let files = fs::read_dir(Path::new(folder).join("nar")).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// Every compression, from a folder; Nix takes it from us with the signatures that it had.
#[tokio::test]
async fn a_folder_moves_in_and_keeps_its_signatures() {
    for client in clients() {
        for compression in ["xz", "zstd", "none", "bzip2"] {
            let mut server = stopped();
            let nix = client.at_home(&server, &[]);
            let closure = Closure::build(&nix);
            let (folder, key) = folder(&nix, &closure, compression);
            let import = ["import", &folder, "--cache", "main", "--all", "--trusted-key", &key];
            let (code, report) = run(&server, &import);
            assert_eq!((code, &report["imported"]), (0, &closure.paths.len().into()), "{report:#}");
            let (code, report) = run(&server, &import);
            assert_eq!((code, &report["imported"], &report["present"]), (0, &0.into(), &closure.paths.len().into()));

            server.restart();
            let nix = client.at_home(&server, &[&format!("trusted-public-keys = {key}")]);
            let root = nix.place("root");
            nix.ok(&["copy", "--from", &format!("{}/main", server.url()), "--to", &root, &closure.top]);
            closure.assert_valid_in(&nix, &root);
        }
    }
}

/// What is wrong is listed and refused, with whatever refers to it; all else arrives, and the rest comes once it is repaired.
#[tokio::test]
async fn what_is_damaged_is_refused_and_can_be_fetched_later() {
    for client in clients() {
        let server = stopped();
        let nix = client.at_home(&server, &[]);
        let closure = Closure::build(&nix);
        let (folder, key) = folder(&nix, &closure, "none");
        let noise = largest_nar(&folder);
        let whole = fs::read(&noise).unwrap();
        let mut damaged = whole.clone();
        damaged[1 << 20] ^= 1;
        fs::write(&noise, &damaged).unwrap();

        let import = ["import", &format!("file://{folder}"), "--cache", "main", &closure.top];
        let (code, report) = run(&server, &import);
        assert_eq!(code, 1);
        let failed = report["failed"].as_array().unwrap();
        let why = |name: &str| {
            let failed = failed.iter().find(|failed| failed["path"].as_str().unwrap().ends_with(name));
            failed.unwrap_or_else(|| panic!("{name} has not failed: {report:#}"))["why"].as_str().unwrap().to_owned()
        };
        assert!(why("-noise").contains("hash"), "{report:#}");
        assert!(why("-top").contains("its reference"), "{report:#}");
        assert_eq!(failed.len(), 2, "{report:#}");

        fs::write(&noise, &whole[..whole.len() - 8]).unwrap();
        let (code, report) = run(&server, &import);
        assert_eq!((code, &report["imported"]), (1, &0.into()), "{report:#}");
        fs::write(&noise, &whole).unwrap();
        let (code, report) = run(&server, &import);
        assert_eq!((code, &report["imported"]), (0, &2.into()), "{report:#}");

        // Somebody else's signatures count for nothing.
        let other = SecretKey::generate(key.split(':').next().unwrap().parse().unwrap(), [4; 32]).public_key();
        let made = server.command().args(["cache", "create", "other"]).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let (code, report) =
            run(&server, &["import", &folder, "--cache", "other", "--all", "--trusted-key", &other.to_string()]);
        assert_eq!((code, &report["imported"]), (1, &0.into()), "{report:#}");
        assert_eq!(report["failed"].as_array().unwrap().len(), closure.paths.len());
    }
}

/// Over HTTP, from closure roots; what is not there is said.
#[tokio::test]
async fn a_closure_comes_over_http() {
    for client in clients() {
        let mut theirs = Server::new();
        let key = theirs.http().public_key("main").await;
        let nix = client.at_home(&theirs, &[]);
        let closure = Closure::build(&nix);
        let source = closure.copy_to_root(&nix, "source");
        nix.push(&theirs, &source, &theirs.token(&["--cache", "main"]), &["push", "main", &closure.top]);

        let mut ours = stopped();
        let address = format!("{}/main", theirs.url());
        let key = key.to_string();
        let (code, report) =
            run(&ours, &["import", &address, "--cache", "main", hash_part(&closure.top), "--trusted-key", &key]);
        assert_eq!((code, &report["imported"]), (0, &closure.paths.len().into()), "{report:#}");
        let absent = "00000000000000000000000000000000";
        let (code, report) = run(&ours, &["import", &address, "--cache", "main", absent]);
        assert_eq!(code, 1);
        assert_eq!(report["failed"][0]["why"], "the source does not have it");
        let listed = ours.command().args(["import", &address, "--cache", "main", "--all"]).output().unwrap();
        assert_eq!(listed.status.code(), Some(1));
        assert!(said(&listed).contains("cannot be listed"), "{}", said(&listed));
        assert!(theirs.terminate().success());

        ours.restart();
        let nix = client.at_home(&ours, &[&format!("trusted-public-keys = {key}")]);
        let root = nix.place("root");
        nix.ok(&["copy", "--from", &format!("{}/main", ours.url()), "--to", &root, &closure.top]);
        closure.assert_valid_in(&nix, &root);
    }
}
