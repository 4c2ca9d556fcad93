//! The scrub: finds by itself what is broken, tells, goes on after a restart, and blames no disk that is merely away.

use std::{fs, process::Command, time::Duration};

use super::store::packs;
use crate::harness::{Fsck, Node, Seed, Server, TestPath};

const FAST: &str = "[flywheel.inspection]\nscrub-rate = \"64 MiB\"\nscrub-interval = \"1s\"\n";

/// What a query of the index gives.
fn ask(server: &Server, query: &str) -> String {
    let index = server.data_dir().join("index.sqlite");
    let done =
        Command::new("sqlite3").args(["-readonly", "-cmd", ".timeout 10000"]).arg(index).arg(query).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
}

/// Waits until it is so.
pub(super) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain for {what}");
}

#[tokio::test]
async fn it_finds_what_nobody_asks_for() {
    let server = Server::builder().config(FAST).start();
    let admin = server.admin();
    let http = server.http();
    let key = http.public_key("main").await;
    let path = TestPath::new("large", &Node::noise(&mut Seed::new(3, "scrub"), 3 << 20));
    let other = TestPath::small("other");
    for path in [&path, &other] {
        admin.upload("main", path).await.expect(200);
    }
    let pack = packs(&server).swap_remove(0);
    pack.flip(pack.frames[0].0 + 1000, 4);
    let narinfo = format!("/main/{}.narinfo", path.hash());
    until("the path to be hidden", async || http.get(&narinfo).await.status == 404).await;
    http.pull_same("main", &other, &key).await;
    assert!(server.log().contains("the scrub found damage"));
    let metrics = http.get("/metrics").await.text();
    assert!(metrics.contains(r#"flywheel_scrub_findings_total{kind="frame-damaged"} 1"#), "{metrics}");
    assert!(metrics.contains("flywheel_quarantined_nars 1"), "{metrics}");
    assert_ne!(ask(&server, "SELECT count(*) FROM audit WHERE act = 'scrub.find' AND subject = 'server'"), "0");
    // It is ready all the same: one path is not the server.
    http.get("/readyz").await.expect(200);

    admin.upload("main", &path).await.expect(200);
    http.pull_same("main", &path, &key).await;
    let ended = || ask(&server, "SELECT ended_at FROM scrub").parse::<i64>().unwrap();
    let before = ended();
    until("two more rounds", async || ended() > before + 3).await;
    // What is known and healed is not found again.
    assert_eq!(ask(&server, "SELECT last_found FROM scrub"), "0");
    assert_eq!(Fsck::run(&server, &["--deep"]).status, 0);
}

#[tokio::test]
async fn it_goes_on_after_a_restart() {
    let slow = "[flywheel.inspection]\nscrub-rate = \"1 MiB\"\nscrub-interval = \"1 day\"\n";
    let mut server = Server::builder().config(slow).stopped();
    server.restart();
    let admin = server.admin();
    // The round over the empty store has ended, and the next one is a day away.
    until("the first round", async || !ask(&server, "SELECT ended_at FROM scrub").is_empty()).await;
    for i in 0..6 {
        let path = TestPath::new(&format!("large-{i}"), &Node::noise(&mut Seed::new(i, "rounds"), 3 << 20));
        admin.upload("main", &path).await.expect(200);
    }
    assert!(server.terminate().success());
    let index = server.data_dir().join("index.sqlite");
    let done = Command::new("sqlite3").arg(index).arg("DELETE FROM scrub").status().unwrap();
    assert!(done.success());
    server.restart();
    let state = || ask(&server, "SELECT began_at || ' ' || after_pack FROM scrub");
    until("a pack to be read", async || state().split(' ').nth(1).is_some_and(|pack| pack != "0")).await;
    let was = state();
    let (began, pack) = was.split_once(' ').unwrap();
    let pack: i64 = pack.parse().unwrap();
    // A process that is killed has its lease for two minutes more; one that ends gives it back.
    assert!(server.terminate().success());
    let read = |server: &Server| ask(server, "SELECT began_at || ' ' || after_pack || ' ' || read_bytes FROM scrub");
    let stored = read(&server);
    server.restart();
    until("the next pack", async || {
        let now = read(&server);
        let fields: Vec<i64> = now.split(' ').map(|field| field.parse().unwrap()).collect();
        assert_eq!(fields[0].to_string(), began, "it is the same round: {stored} became {now}");
        assert!(fields[1] >= pack, "it does not begin anew: {stored} became {now}");
        fields[1] > pack
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_is_away_is_no_damage() {
    let server = Server::builder().config(FAST).start();
    let path = TestPath::small("kept");
    server.admin().upload("main", &path).await.expect(200);
    let packs = server.data_dir().join("store/objects/packs");
    let away = server.data_dir().join("away");
    fs::rename(&packs, &away).unwrap();
    let http = server.http();
    until("the scrub to fail", async || {
        let metrics = http.get("/metrics").await.text();
        let failures = metrics.lines().find(|line| line.starts_with("flywheel_scrub_failures_total "));
        failures.is_some_and(|line| !line.ends_with(" 0"))
    })
    .await;
    fs::rename(&away, &packs).unwrap();
    http.pull_same("main", &path, &http.public_key("main").await).await;
    assert_eq!(ask(&server, "SELECT count(*) FROM chunk WHERE damaged_at IS NOT NULL"), "0");
    assert!(http.get("/metrics").await.text().contains("flywheel_quarantined_nars 0"));
}
