//! A server whose packs are in a bucket, with a service that fails as it is told.

mod read_cache;
mod requests;

use std::time::Duration;

use bucket::Fault;
use formats::{NarHash, NarInfo, StoreDir};
use futures::{StreamExt, stream};
use reqwest::Method;

use crate::{
    harness::{Node, Seed, Server, TestPath, decompress, try_answer},
    routes::said::said,
};

fn server() -> Server {
    Server::builder().in_bucket().start()
}

fn large(seed: u64, bytes: usize) -> TestPath {
    TestPath::new(&format!("large-{seed}"), &Node::noise(&mut Seed::new(seed, "in a bucket"), bytes))
}

#[tokio::test]
async fn what_was_pushed_is_there_after_a_kill() {
    let mut server = server();
    let key = server.http().public_key("main").await;
    // Alone, shared packs, and one that is sent in parts.
    let paths = [TestPath::small("small"), large(1, 3 << 20), large(2, 70 << 20), TestPath::new("odd", &Node::odd())];
    for path in &paths {
        server.admin().upload("main", path).await.expect(200);
    }
    server.kill9();
    server.restart();
    for path in &paths {
        server.http().pull_same("main", path, &key).await;
    }
    assert!(server.objects().keys().all(|key| ["packs", "records"].contains(&key.as_str().split('/').next().unwrap())));
}

/// What may happen on the way, but for wrong bytes.
fn trouble(number: usize) -> Fault {
    match number % 7 {
        0 => Fault::Delay(Duration::from_millis(20)),
        1 => Fault::Answer(500, "InternalError"),
        2 => Fault::Answer(503, "SlowDown"),
        3 => Fault::LoseAnswer,
        4 => Fault::CutAnswer,
        5 => Fault::FlipRequest,
        _ => Fault::Refuse,
    }
}

/// GETs the NAR that the cache's narinfo names: whole and right, or an error.
async fn read(server: &Server, path: &TestPath) -> Result<(), String> {
    let http = server.http();
    let narinfo = http.get(&format!("/main/{}.narinfo", path.hash())).await;
    if narinfo.status != 200 {
        return Err(format!("narinfo: {}", narinfo.status));
    }
    let narinfo = NarInfo::parse(&StoreDir::default(), narinfo.body).unwrap();
    match try_answer(http.request(Method::GET, &format!("/main/{}", narinfo.url))).await {
        Err(broken) => Err(broken.to_string()),
        Ok(answer) if answer.status != 200 => Err(answer.status.to_string()),
        Ok(answer) => {
            let nar = decompress(narinfo.compression, &answer.body).await.unwrap();
            assert_eq!(NarHash::digest_of(&nar), path.info.nar_hash, "wrong or too few bytes left with a 200");
            Ok(())
        }
    }
}

/// A service in deep trouble, and pushers and readers all the while.
#[tokio::test]
async fn trouble_ends_in_a_retry_or_an_error() {
    let server = server();
    let key = server.http().public_key("main").await;
    let (number, mut seed) = Seed::from_environment("trouble of a bucket");
    let paths: Vec<TestPath> = (0..24)
        .map(|i| match i % 8 {
            0 => large(number ^ i, 9 << 20),
            _ => large(number ^ i, 60_000),
        })
        .collect();
    server.service().disturb(move |_| (seed.in_range(0..3) == 0).then(|| trouble(seed.in_range(0..7))));
    let admin = server.admin();
    let push = |path| {
        let (admin, server) = (&admin, &server);
        async move {
            let is_acknowledged = match admin.upload("main", path).await {
                answer if answer.status == 200 => true,
                answer => {
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    false
                }
            };
            // Whatever comes of it: an error, or the right bytes.
            let _ = read(server, path).await;
            (path, is_acknowledged)
        }
    };
    let pushed: Vec<_> = stream::iter(&paths).map(push).buffer_unordered(4).collect().await;
    server.service().calm();
    let acknowledged: Vec<_> = pushed.into_iter().filter_map(|(path, is)| is.then_some(path)).collect();
    assert!(acknowledged.len() >= paths.len() / 2, "only {} got through", acknowledged.len());
    for path in acknowledged {
        server.http().pull_same("main", path, &key).await;
    }
    // What was refused can be pushed again.
    for path in &paths {
        server.admin().upload("main", path).await.expect(200);
        server.http().pull_same("main", path, &key).await;
    }
}

/// Bytes that are wrong on the line, and right in the bucket, are no damage.
#[tokio::test]
async fn wrong_bytes_on_the_line_never_leave_and_condemn_nothing() {
    let server = server();
    let key = server.http().public_key("main").await;
    for path in [large(1, 200_000), large(2, 12 << 20)] {
        server.admin().upload("main", &path).await.expect(200);
        for first in 0..3 {
            let mut gets = first;
            server.service().disturb(move |asked| {
                gets += u64::from(asked.method == "GET");
                (asked.method == "GET" && gets % 3 == 1).then_some(Fault::FlipAnswer)
            });
            server.http().pull_same("main", &path, &key).await;
        }
        for fault in [Fault::CutAnswer, Fault::ShortenAnswer, Fault::LoseAnswer] {
            server.service().disturb(move |asked| (asked.number == 0).then(|| fault.clone()));
            server.http().pull_same("main", &path, &key).await;
        }
    }
}

#[tokio::test]
async fn a_server_whose_bucket_is_away_lives_and_is_not_ready() {
    let server = server();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    server.service().disturb(|_| Some(Fault::Refuse));
    // The last good answer may count for another moment.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(said(&server.http().get("/livez").await), "200");
    assert_eq!(said(&server.http().get("/readyz").await), "503 Unavailable");
    assert!(read(&server, &path).await.is_err());
    server.service().calm();
    assert_eq!(said(&server.http().get("/readyz").await), "200");
    read(&server, &path).await.unwrap();
}

/// A server that is started before its bucket waits for it, and can be stopped meanwhile.
#[test]
fn a_bucket_that_is_away_at_the_start_is_waited_for() {
    let mut server = Server::builder().in_bucket().stopped();
    server.service().disturb(|_| Some(Fault::Refuse));
    server.start_until("the bucket is away; trying again");
    assert!(server.terminate().success());
    server.start_until("the bucket is away; trying again");
    server.service().calm();
    server.wait_until_started();
    assert!(server.terminate().success());
}

/// One that answers and then takes nothing, as Garage does while a node finds the others again.
#[test]
fn a_bucket_that_takes_nothing_at_the_start_is_waited_for() {
    let mut server = Server::builder().in_bucket().stopped();
    server.service().disturb(|asked| (asked.method == "PUT").then_some(Fault::Answer(503, "ServiceUnavailable")));
    server.start_until("; trying again");
    server.service().calm();
    server.wait_until_started();
    assert!(server.objects().keys().any(|key| key.as_str().starts_with("records/")), "the cache is recorded");
    assert!(server.terminate().success());
}

const EXPIRES: &str = "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>\
     <Expiration><Days>90</Days></Expiration></Rule></LifecycleConfiguration>";

#[test]
fn a_bucket_that_would_expire_what_is_stored_is_refused() {
    let server = Server::builder().in_bucket().stopped();
    server.service().disturb(|asked| asked.query.contains("lifecycle").then_some(Fault::Say(EXPIRES)));
    let ended = server.command().args(["--listen", "127.0.0.1:0"]).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(
        told.contains("the lifecycle rule \"old\" of the bucket flywheel (prefix \"\") deletes after 90 days"),
        "{told}"
    );
    assert!(told.contains("hint: take the rule away or give it another prefix"), "{told}");
}

#[test]
fn a_bucket_that_does_not_exist_is_told() {
    let server = Server::builder().in_bucket().stopped();
    std::fs::remove_dir(server.service().objects()).unwrap();
    let ended = server.command().args(["--listen", "127.0.0.1:0"]).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("the bucket flywheel does not exist") && told.contains("hint: make the bucket"), "{told}");
}

/// The proof of a bucket, beside a server that uses it: says what it found, and leaves nothing.
#[test]
fn storage_check_proves_a_bucket() {
    let server = server();
    let before = server.objects();
    let output = server.command().args(["storage", "check", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told:#}");
    assert_eq!(told["usable"], true);
    let verdicts: Vec<String> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| format!("{} {}", finding["verdict"].as_str().unwrap(), finding["check"].as_str().unwrap()))
        .filter(|verdict| !verdict.ends_with("conditional writes"))
        .collect();
    // This service does not know of lifecycle rules.
    let expected = "good reach, good write and read, good ranges, good long objects, good abandoned writes, good absence, \
                    good replacing, good listing and deleting, good latency, good throughput, note lifecycle rules, \
                    good checksums";
    assert_eq!(verdicts.join(", "), expected);
    assert_eq!(server.objects(), before);
}

#[test]
fn storage_check_fails_on_a_bucket_that_must_not_be_used() {
    let server = server();
    server.service().disturb(|asked| asked.query.contains("lifecycle").then_some(Fault::Say(EXPIRES)));
    let output = server.command().args(["storage", "check"]).output().unwrap();
    let (table, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{table}\n{notes}");
    assert!(table.contains("BAD   lifecycle rules"), "{table}");
    assert!(notes.starts_with("error: 1 of 13 checks say that this storage must not be used"), "{notes}");
    server.service().disturb(|_| Some(Fault::Refuse));
    let output = server.command().args(["storage", "check"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("check storage.endpoint, and that the service runs"), "{table}");
}

#[test]
fn storage_check_proves_a_folder_too() {
    let server = Server::builder().start();
    let output = server.command().args(["storage", "check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(server.objects().keys().all(|key| !key.as_str().starts_with("check/")));
}
