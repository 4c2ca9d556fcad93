//! How much there is, as the command line and the API tell it.

use serde_json::Value;

use super::scrub::until;
use crate::harness::{Node, Seed, Server, TestPath};

fn stats(server: &Server, options: &[&str]) -> Value {
    let output = server.command().args(["stats", "--json"]).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn figures_tell_what_is_stored_and_who_may_see_it() {
    let server = Server::builder().config("[flywheel.inspection]\nstats-interval = \"1s\"\n").start();
    let admin = server.admin();
    let made = serde_json::json!({"is_public": true, "keypair": "Generate", "priority": 1, "store_dir": "/nix/store", "upstream_cache_key_names": []});
    admin.send_json(reqwest::Method::POST, "/_api/v1/cache-config/team", &made).await.expect(200);
    let noise = Node::noise(&mut Seed::new(1, "stats"), 2 << 20);
    let first = TestPath::new("tool-1.0", &noise);
    // The same file beside a small one: most of it is shared.
    let second = TestPath::new("tool-1.1", &Node::directory([("file", noise), ("x", Node::file("x"))]));
    let lone = TestPath::new("lone", &Node::noise(&mut Seed::new(2, "stats"), 3 << 20));
    admin.upload("main", &first).await.expect(200);
    admin.upload("main", &second).await.expect(200);
    admin.upload("team", &lone).await.expect(200);
    for path in [&first, &first, &lone] {
        let cache = if path.info.path == lone.info.path { "team" } else { "main" };
        server.http().get(&format!("/{cache}/{}.narinfo", path.hash())).await.expect(200);
    }
    server.http().get(&format!("/main/{}.narinfo", lone.hash())).await.expect(404);

    let now = stats(&server, &[]);
    let nar_bytes = [&first, &second, &lone].map(|path| path.info.nar_size);
    let totals = &now["totals"];
    assert_eq!((&totals["paths"], &totals["nar-bytes"]), (&3.into(), &nar_bytes.iter().sum::<u64>().into()), "{now:#}");
    let deduplicated = totals["deduplicated-bytes"].as_u64().unwrap();
    assert!(
        (nar_bytes[1] + nar_bytes[2]..nar_bytes.iter().sum::<u64>() - (1 << 20)).contains(&deduplicated),
        "{now:#}"
    );
    assert!(totals["compressed-bytes"].as_u64().unwrap() <= totals["pack-bytes"].as_u64().unwrap());
    assert!(totals["live-per-mille"].as_u64().unwrap() > 900, "{now:#}");
    let names = |list: &Value, key: &str| {
        list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&now["caches"], "cache"), ["main", "team"]);
    assert_eq!(names(&now["prefixes"], "prefix"), ["tool", "lone"]);
    assert_eq!(now["prefixes"][0]["paths"], 2);
    assert_eq!(names(&now["largest"], "path")[0], lone.info.path.to_string());
    let mut shared = names(&now["most-shared"], "path");
    shared.sort();
    let mut expected = vec![first.info.path.to_string(), second.info.path.to_string()];
    expected.sort();
    assert_eq!(shared, expected);
    let growth = now["growth"].as_array().unwrap();
    assert_eq!((growth.last().unwrap()["paths"].as_u64(), growth.len()), (Some(3), 1), "{now:#}");

    // The server keeps them, and tells whoever may configure the caches.
    until("the figures to be kept", async || {
        let answer = admin.get("/_flywheel/v1/stats").await;
        answer.status == 200 && answer.json()["totals"]["paths"] == 3
    })
    .await;
    assert_eq!(stats(&server, &["--kept"])["totals"]["paths"], 3);
    let of_team = server.token(&["--sub", "t", "--validity", "1d", "--configure-cache", "team"]);
    let partly = server.http().with_token(&of_team).get("/_flywheel/v1/stats").await.expect(200).json();
    assert_eq!(names(&partly["caches"], "cache"), ["team"]);
    assert_eq!(names(&partly["largest"], "cache"), ["team"]);
    assert!(partly.get("totals").is_none() && partly.get("prefixes").is_none(), "{partly:#}");
    let pusher = server.token(&["--sub", "p", "--validity", "1d", "--pull", "*", "--push", "*"]);
    server.http().with_token(&pusher).get("/_flywheel/v1/stats").await.expect(403);
    server.http().get("/_flywheel/v1/stats").await.expect(401);

    // Hits and misses outlive the process.
    let mut server = server;
    assert!(server.terminate().success());
    let after = stats(&server, &[]);
    let main = &after["caches"][0];
    assert_eq!((&main["hits"], &main["misses"]), (&2.into(), &1.into()), "{after:#}");
    let text = server.command().arg("stats").output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("paths                                 3\n"));
}
