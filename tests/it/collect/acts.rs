//! What of collection is in the audit, and what a read-only cache or server refuses.

use reqwest::Method;
use serde_json::json;

use super::{delete, gc, release};
use crate::{harness::Server, routes::said};

fn acts(server: &Server) -> Vec<serde_json::Value> {
    let output = server.command().args(["audit", "list", "--json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The acts of a kind, oldest first: who did it, on what, how it ended.
fn told(acts: &[serde_json::Value], kind: &str) -> Vec<(String, String, String)> {
    let text = |act: &serde_json::Value, field: &str| act[field].as_str().unwrap_or_default().to_owned();
    let of_kind = acts.iter().rev().filter(|act| act["act"] == kind);
    of_kind.map(|act| (text(act, "subject"), text(act, "cache"), text(act, "outcome"))).collect()
}

#[tokio::test]
async fn what_goes_is_written_down() {
    let server = Server::builder().config("[garbage-collection]\ndefault-retention-period = \"1s\"\n").start();
    let (library, other) = (release(1, Vec::new()), release(2, Vec::new()));
    let program = release(3, vec![library.info.path.clone()]);
    for path in [&library, &program, &other] {
        server.admin().upload("main", path).await.expect(200);
    }
    let run = |arguments: &[&str]| {
        let output = server.command().env("USER", "ada").args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let name = |path: &crate::harness::TestPath| path.info.path.to_string();
    assert!(run(&["pin", "add", "main", "stable", &name(&program)]).0);
    assert!(!run(&["path", "delete", "main", &name(&library)]).0, "the program refers to it");
    assert!(run(&["path", "delete", "main", &name(&other)]).0);
    delete(&server, &library, "").await.expect(409);
    assert!(run(&["pin", "remove", "main", "stable"]).0);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(gc(&server)["paths_removed"], 2);

    let acts = acts(&server);
    let row = |who: &str, cache: &str, outcome: &str| (who.to_owned(), cache.to_owned(), outcome.to_owned());
    assert_eq!(told(&acts, "pin.add"), [row("ada", "main", "done")]);
    assert_eq!(told(&acts, "pin.remove"), [row("ada", "main", "done")]);
    let deletions = [row("ada", "main", "refused"), row("ada", "main", "done"), row("admin", "main", "refused")];
    assert_eq!(told(&acts, "path.delete"), deletions);
    assert_eq!(told(&acts, "gc.remove"), [row("operator", "main", "done")]);
    assert_eq!(told(&acts, "gc.run"), [row("operator", "", "done")]);
    let removed = acts.iter().find(|act| act["act"] == "gc.remove").unwrap();
    assert_eq!(removed["detail"], "2 paths");
}

#[tokio::test]
async fn what_is_read_only_keeps_its_settings() {
    let server = Server::new();
    let admin = server.admin();
    let (config, limits) = ("/_api/v1/cache-config/main", "/_flywheel/v1/caches/main/limits");
    let change = json!({"priority": 7});
    admin.send_json(Method::PATCH, limits, &json!({"read_only": true})).await.expect(200);
    assert_eq!(said(&admin.send_json(Method::PATCH, config, &change).await), "403 ReadOnly");
    assert_eq!(said(&admin.send_json(Method::PATCH, limits, &json!({"quota": 5})).await), "403 ReadOnly");
    // That is about this cache alone.
    admin.send_json(Method::POST, "/_api/v1/cache-config/other", &json!({"keypair": "Generate"})).await.expect(200);
    admin.send_json(Method::PATCH, limits, &json!({"read_only": false, "quota": 5})).await.expect(200);
    admin.send_json(Method::PATCH, config, &change).await.expect(200);

    let server = Server::builder().config("[flywheel]\nread-only = true\n").start();
    let admin = server.admin();
    let created = admin.send_json(Method::POST, "/_api/v1/cache-config/other", &json!({"keypair": "Generate"})).await;
    assert_eq!(said(&created), "403 ReadOnly");
    assert_eq!(said(&admin.send_json(Method::PATCH, config, &change).await), "403 ReadOnly");
    assert_eq!(said(&admin.send_json(Method::PATCH, limits, &json!({"quota": 5})).await), "403 ReadOnly");
    admin.send_json(Method::PATCH, limits, &json!({"read_only": true})).await.expect(200);
    assert_eq!(admin.get(config).await.expect(200).json()["priority"], 41);
}
