//! The registry of tokens: what is revoked is not good any more, at once.

use std::io::Write;

use serde_json::{Value, json};

use super::{FAR, claims, create_cache, hs256, may, said};
use crate::harness::{Server, TestPath};

const SECRET: &[u8] = b"the secret of both";

/// A server whose secret others know too, with a private cache.
async fn shared(more: &str) -> Server {
    let secret = data_encoding::BASE64.encode(SECRET);
    let config = format!("[jwt.signing]\ntoken-hs256-secret-base64 = \"{secret}\"\n{more}");
    let server = Server::builder().config(config).start();
    create_cache(&server.admin(), "private", false).await;
    server
}

/// What the server's program prints to standard output; it must end well.
#[track_caller]
fn run(server: &Server, args: &[&str]) -> String {
    let output = server.command().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The tokens of `token list` with these options.
fn list(server: &Server, options: &[&str]) -> Vec<Value> {
    let lines = run(server, &[&["token", "list", "--json"], options].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id_of(server: &Server, subject: &str) -> String {
    let tokens = list(server, &["--subject", subject]);
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    tokens[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_revoked_token_is_refused_from_then_on() {
    let server = shared("").await;
    let path = TestPath::small("a");
    let [good, other] = ["good", "other"].map(|sub| server.token(&["--sub", sub, "--cache", "private"]));
    let (good, other) = (server.http().with_token(&good), server.http().with_token(&other));
    good.upload("private", &path).await.expect(200);
    // A connection that is open already, and whatever was asked before, make no difference.
    let narinfo = format!("/{}/{}.narinfo", "private", path.hash());
    good.get(&narinfo).await.expect(200);
    let id = id_of(&server, "good");
    run(&server, &["token", "revoke", &id]);
    assert_eq!(said(&good.get(&narinfo).await), "401 Unauthorized");
    assert_eq!(may(&good, "private").await, "");
    assert_eq!(may(&good, "main").await, "r", "like somebody without a token");
    assert_eq!(said(&good.upload("private", &path).await), "401 Unauthorized");
    assert_eq!(may(&other, "private").await, "r w");
    // It is in the list of those that are not good any more.
    assert!(list(&server, &["--subject", "good"]).is_empty());
    assert!(list(&server, &["--all", "--subject", "good"])[0]["revoked-at"].is_number());
    assert!(run(&server, &["token", "show", &id]).contains("Subject: good\n"));
}

#[tokio::test]
async fn a_token_from_elsewhere_is_revoked_by_its_subject() {
    let server = shared("").await;
    let grants = json!({"private": {"r": 1}});
    let token = |sub: &str, extra: Value| {
        let mut claims = claims(FAR, &grants);
        claims["sub"] = sub.into();
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        hs256(SECRET, &claims)
    };
    let scripted = server.http().with_token(&token("script", json!({})));
    let made_later = server.http().with_token(&token("script", json!({"iat": FAR - 1})));
    let other = server.http().with_token(&token("other", json!({})));
    for http in [&scripted, &made_later, &other] {
        assert_eq!(may(http, "private").await, "r");
    }
    run(&server, &["token", "revoke", "--subject", "script"]);
    for (http, left) in [(&scripted, ""), (&made_later, "r"), (&other, "r")] {
        assert_eq!(may(http, "private").await, left);
    }
    let here = server.http().with_token(&server.token(&["--sub", "script", "--pull", "private"]));
    assert_eq!(may(&here, "private").await, "r", "what is made from now on is good");
}

#[tokio::test]
async fn a_token_at_hand_is_revoked_wherever_it_was_made() {
    let server = shared("").await;
    let mut said_by = claims(FAR, &json!({"private": {"r": 1}}));
    said_by["jti"] = "from-elsewhere".into();
    let token = hs256(SECRET, &said_by);
    let http = server.http().with_token(&token);
    assert_eq!(may(&http, "private").await, "r");
    let revoke = |token: &str| {
        let mut command = server.command();
        command.args(["token", "revoke", "--stdin"]).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
        child.wait_with_output().unwrap()
    };
    assert!(revoke(&token).status.success());
    assert_eq!(may(&http, "private").await, "");
    assert!(revoke(&token).status.success(), "twice is as good as once");
    // One without a name cannot be told from others; one that is not signed here is nobody's.
    let nameless = revoke(&hs256(SECRET, &claims(FAR, &json!({}))));
    assert!(String::from_utf8_lossy(&nameless.stderr).contains("--subject \"ci\""), "{nameless:?}");
    assert_eq!(revoke(&hs256(b"other", &said_by)).status.code(), Some(1));
}

#[tokio::test]
async fn only_registered_tokens_are_good_if_it_is_so_configured() {
    let server = shared("[flywheel.tokens]\nrequire-registered = true\n").await;
    let mut elsewhere = claims(FAR, &json!({"private": {"r": 1, "w": 1}}));
    elsewhere["jti"] = "unknown".into();
    assert_eq!(may(&server.http().with_token(&hs256(SECRET, &elsewhere)), "private").await, "");
    let unregistered = server.token(&["--cache", "private", "--unregistered"]);
    assert_eq!(may(&server.http().with_token(&unregistered), "private").await, "");
    let registered = server.token(&["--cache", "private"]);
    assert_eq!(may(&server.http().with_token(&registered), "private").await, "r w");
}

#[tokio::test]
async fn the_list_tells_what_ends_soon_and_what_was_used() {
    let mut server = shared("").await;
    let [week, year] =
        ["7d", "1y"].map(|time| server.token(&["--sub", time, "--cache", "private", "--validity", time]));
    let unused = server.token(&["--sub", "unused", "--validity", "2d"]);
    let subjects = |options: &[&str]| {
        let tokens = list(&server, options);
        tokens.iter().map(|token| token["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // By when they end; the harness's own admins end in a day.
    assert_eq!(subjects(&["--expiring", "14d"]), ["admin", "unused", "7d"]);
    assert_eq!(subjects(&[]), ["admin", "unused", "7d", "1y"]);
    for token in [&week, &year] {
        assert_eq!(may(&server.http().with_token(token), "private").await, "r w");
    }
    // Written down in batches, and at the end at the latest.
    assert!(server.terminate().success());
    let used = |subject: &str| list(&server, &["--subject", subject])[0]["last-used-at"].is_number();
    assert_eq!((used("7d"), used("1y"), used("unused")), (true, true, false));
    let text = run(&server, &["token", "list"]);
    assert!(text.contains("\tunused\t") && text.contains("\tnever used\tmain:r,w\n"), "{text}");
    assert!(!text.contains(&unused), "a token is told once");
}
