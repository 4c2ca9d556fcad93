//! Collection at full pressure beside promotion: nothing that no tag keeps survives it, and what a tag keeps always does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use super::lab::{Builder, Lab};
use crate::{
    harness::nix::{clients, hash_part},
    routes::said,
};

const CACHE: &str = "/_flywheel/v1/caches/main";
/// One superseded revision is kept; a path goes a second after its last use, and whatever is over a KiB goes before that.
const CONFIG: &str = "keep-revisions = 1\nkeep-for = \"0s\"\n[flywheel.collection]\nmax-size = \"1 KiB\"\n\
                      [garbage-collection]\ninterval = \"0s\"\ndefault-retention-period = \"1s\"\n";

/// Collects all the time, as another process.
struct Pressure {
    rounds: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pressure {
    fn on(lab: &Lab) -> Self {
        let (rounds, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let mut command = lab.server.command();
        command.args(["gc", "--grace", "0s", "--no-wait", "--json"]);
        let (counted, told) = (Arc::clone(&rounds), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let output = command.output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { rounds, stop, thread: Some(thread) }
    }

    /// Waits until all that was to go when this was called is gone: until rounds have begun and ended since.
    async fn settle(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        while self.rounds.load(Ordering::Relaxed) < before + 3 {
            assert!(self.thread.as_ref().is_some_and(|thread| !thread.is_finished()), "collection has failed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What was built, with its claims; a pin keeps each from collection until it is promoted.
struct Steps {
    leaf: String,
    paths: Vec<String>,
    claims: Vec<i64>,
}

impl Steps {
    async fn build(lab: &Lab, ci: &Builder) -> Self {
        let leaf = ci.build(lab, "leaf");
        let (mut paths, mut claims) = (Vec::new(), Vec::new());
        for number in 1..=6 {
            let name = format!("step{number}");
            let path = ci.build(lab, &name);
            let (claim, state, lacking) = ci.claim(&lab.attribute(&name));
            assert_eq!((state.as_str(), &lacking[..]), ("clean", &[][..]));
            let pin = json!({ "store_path": path });
            let pins = format!("{CACHE}/pins/{name}");
            lab.server.admin().send_json(Method::PUT, &pins, &pin).await.expect(200);
            paths.push(path);
            claims.push(claim);
        }
        Self { leaf, paths, claims }
    }

    /// Which steps the plain cache has.
    async fn left(&self, lab: &Lab) -> Vec<usize> {
        let mut left = Vec::new();
        for (step, path) in self.paths.iter().enumerate() {
            if lab.narinfo("main", path).await == 200 {
                left.push(step);
            }
        }
        left
    }

    /// The view has this step and what it refers to, byte for byte.
    async fn assert_shown(&self, lab: &Lab, step: usize) {
        for path in [&self.paths[step], &self.leaf] {
            let address = format!("/main@stable/{}.narinfo", hash_part(path));
            let narinfo = lab.server.http().get(&address).await.expect(200).text();
            let field = |name: &str| narinfo.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            let nar = lab.server.http().get(&format!("/main@stable/{}", field("URL: "))).await.expect(200);
            let plain = zstd::decode_all(&nar.body[..]).unwrap();
            assert_eq!(formats::NarHash::digest_of(&plain).to_string(), field("NarHash: "));
        }
    }
}

async fn paths(lab: &Lab) -> String {
    let metrics = lab.server.http().get("/metrics").await.expect(200).text();
    metrics.lines().find_map(|line| line.strip_prefix("flywheel_paths ")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_takes_all_but_what_is_promoted() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::configured(CONFIG);
    let ci = lab.builder(&client, "ci-1");
    let steps = Steps::build(&lab, &ci).await;
    let admin = lab.server.admin();
    let promoter = lab.http(&["--sub", "ada", "--pull", "main", "--promote", "main"]);
    let tag = format!("{CACHE}/tags/stable");
    let move_to = async |step: usize, expected: i64| {
        let claims = [steps.claims[step]];
        let wanted = json!({ "claims": claims, "kind": "channel", "visibility": "internal", "expected": expected });
        promoter.send_json(Method::PUT, &tag, &wanted).await
    };
    let roll_back = async |to: i64, expected: i64| {
        let wanted = json!({ "to": to, "expected": expected, "reason": "back" });
        promoter.send_json(Method::POST, &format!("{tag}/rollback"), &wanted).await
    };
    let pressure = Pressure::on(&lab);
    pressure.settle().await;
    assert_eq!(steps.left(&lab).await, [0, 1, 2, 3, 4, 5], "pins keep them");

    // Each is promoted in the very moment in which its pin goes: it is promoted and stays, or it is not promoted.
    let (mut number, mut shown, mut before) = (0, None, None);
    for step in 0..6 {
        let pin = format!("{CACHE}/pins/step{}", step + 1);
        let (unpinned, moved) = tokio::join!(admin.delete(&pin), move_to(step, number));
        unpinned.expect(200);
        if moved.status == 201 {
            number += 1;
            (before, shown) = (shown, Some(step));
        } else {
            // Then the tag is where it was, though in the history it may have moved there and back.
            assert_eq!(said(&moved), "422 NotClean", "{}", moved.text());
            let history = promoter.get(&format!("{tag}/history")).await.expect(200).json();
            number = history[0]["number"].as_i64().unwrap();
        }
        if let Some(shown) = shown {
            steps.assert_shown(&lab, shown).await;
        }
    }
    pressure.settle().await;
    let (shown, before) = (shown.unwrap(), before.unwrap());
    let mut expected = vec![before, shown];
    expected.sort_unstable();
    assert_eq!(steps.left(&lab).await, expected, "the current one, and the one that can be gone back to");
    assert_eq!(paths(&lab).await, "3", "these two and what both refer to");
    steps.assert_shown(&lab, shown).await;

    // Gone back, the one that was gone back from is the one that can be gone back to.
    let history = promoter.get(&format!("{tag}/history")).await.expect(200).json();
    let of_before = history
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["state"] == "kept" && one["claims"] == json!([steps.claims[before]]));
    let of_before = of_before.unwrap()["number"].as_i64().unwrap();
    roll_back(of_before, number).await.expect(201);
    pressure.settle().await;
    assert_eq!((steps.left(&lab).await, paths(&lab).await), (expected, "3".to_owned()));
    steps.assert_shown(&lab, before).await;
    // Once more onto the same, and the other one expires.
    move_to(before, number + 1).await.expect(201);
    pressure.settle().await;
    assert_eq!((steps.left(&lab).await, paths(&lab).await), (vec![before], "2".to_owned()));
    let gone = roll_back(of_before, number + 2).await;
    assert_eq!(said(&gone), "409 TagFixed", "{}", gone.text());
    steps.assert_shown(&lab, before).await;

    // What was collected is not promoted, however clean it was.
    let lost = move_to(shown, number + 2).await;
    assert_eq!(said(&lost), "422 NotClean", "{}", lost.text());
    assert!(lost.text().contains("P5: ") && lost.text().contains("push it again"), "{}", lost.text());
    steps.assert_shown(&lab, before).await;
    // A claim that is revoked keeps nothing, in whatever revisions it is.
    let revoke = format!("{CACHE}/claims/{}/revoke", steps.claims[before]);
    promoter.send_json(Method::POST, &revoke, &json!({ "reason": "the end" })).await.expect(204);
    pressure.settle().await;
    assert_eq!((steps.left(&lab).await, paths(&lab).await), (vec![], "0".to_owned()));
    // Nor does the evidence stay, once it is as old as the retention: what is left is what the storage remembers of all this.
    let is_record = |key: &storage::Key| key.to_string().starts_with("records/");
    for _ in 0..20 {
        if lab.server.objects().keys().all(is_record) {
            break;
        }
        pressure.settle().await;
    }
    let objects = lab.server.objects();
    assert!(objects.keys().all(is_record), "{objects:?}");
    pressure.end();
}
