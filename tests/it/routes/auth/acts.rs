//! The audit: what was done by those who may do more than push and pull.

use reqwest::Method;
use serde_json::{Value, json};

use super::{create_cache, said};
use crate::harness::{Http, Server, answer};

/// `outcome act cache object subject` of each act, oldest first.
fn acts(server: &Server, options: &[&str]) -> Vec<String> {
    let output = server.command().args(["audit", "list", "--json"]).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| line_of(&serde_json::from_str(line).unwrap())).collect();
    lines.reverse();
    lines
}

fn line_of(act: &Value) -> String {
    let text = |key: &str| act[key].as_str().unwrap_or("-").to_owned();
    ["outcome", "act", "cache", "subject"].map(text).join(" ")
}

fn reader(server: &Server, cache: &str) -> Http {
    server.http().with_token(&server.token(&["--sub", "auditor", "--read-audit", cache]))
}

#[tokio::test]
async fn every_act_leaves_a_row_and_nothing_else_does() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "a", false).await;
    admin.send_json(Method::PATCH, "/_api/v1/cache-config/a", &json!({"priority": 7})).await.expect(200);
    let pusher = server.http().with_token(&server.token(&["--sub", "pusher", "--cache", "a"]));
    assert_eq!(said(&pusher.delete("/_api/v1/cache-config/a").await), "403 AccessError");
    assert_eq!(said(&pusher.send_json(Method::POST, "/_api/v1/cache-config/a", &json!({})).await), "403 AccessError");
    // Anybody could fill the audit with this.
    assert_eq!(said(&server.http().delete("/_api/v1/cache-config/a").await), "401 Unauthorized");
    pusher.upload("a", &crate::harness::TestPath::small("x")).await.expect(200);
    admin.delete("/_api/v1/cache-config/a").await.expect(200);
    assert_eq!(said(&admin.delete("/_api/v1/cache-config/a").await), "404 NoSuchCache");
    let key = server.command().args(["cache", "key", "add", "main"]).output().unwrap();
    assert!(key.status.success());

    let told = acts(&server, &[]);
    let of_admin: Vec<&str> = told.iter().map(String::as_str).filter(|line| !line.contains("token.mint")).collect();
    assert_eq!(
        of_admin,
        [
            "done cache.create a admin",
            "done cache.configure a admin",
            "refused cache.destroy a pusher",
            "refused cache.create a pusher",
            "done cache.destroy a admin",
            "refused cache.destroy a admin",
            "done cache.key.add main operator",
        ]
    );
    assert!(told.iter().any(|line| line == "done token.mint - operator"), "{told:?}");
    assert_eq!(acts(&server, &["--cache", "main"]), ["done cache.key.add main operator"]);
    assert_eq!(acts(&server, &["--limit", "1"]), ["done cache.key.add main operator"]);
    assert!(acts(&server, &["--since", "1h"]).len() == told.len());
    // For people, a line each.
    let lines = server.command().args(["audit", "list", "--cache", "main"]).output().unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.contains("\tdone\tcache.key.add\tmain main-2\toperator\tcommand line\n"), "{lines}");
}

#[tokio::test]
async fn a_row_tells_which_token_and_from_where() {
    let server = Server::new();
    let config = |http: &Http, proxied: &str| {
        let request = http.request(Method::PATCH, "/_api/v1/cache-config/main").json(&json!({"priority": 40}));
        answer(request.header("x-forwarded-for", proxied.to_owned()))
    };
    let admin = server.admin();
    config(&admin, "203.0.113.9, 2001:db8::7").await.expect(200);
    config(&admin, "nonsense").await.expect(200);
    let page = reader(&server, "*").get("/_flywheel/v1/audit?cache=main").await.expect(200).json();
    let [second, first] = &page["acts"].as_array().unwrap()[..] else { panic!("{page}") };
    assert_eq!(first["address"], "2001:db8::7 by 127.0.0.1");
    assert_eq!(second["address"], "127.0.0.1");
    let shown = server.command().args(["token", "show", first["token"].as_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Subject: admin\n"), "{shown:?}");
}

#[tokio::test]
async fn the_audit_is_read_by_those_who_may() {
    let server = Server::new();
    let admin = server.admin();
    for cache in ["a", "b"] {
        create_cache(&admin, cache, false).await;
    }
    let (all, of_a) = (reader(&server, "*"), reader(&server, "a"));
    let url = "/_flywheel/v1/audit";
    let on = |page: Value| page["acts"].as_array().unwrap().iter().map(line_of).collect::<Vec<_>>();
    let page = on(of_a.get(&format!("{url}?cache=a")).await.expect(200).json());
    assert_eq!(page, ["done cache.create a admin"]);
    assert!(on(all.get(url).await.expect(200).json()).contains(&"done cache.create b admin".to_owned()));
    for (who, query) in [(&of_a, ""), (&of_a, "?cache=b"), (&admin, ""), (&admin, "?cache=a")] {
        assert_eq!(said(&who.get(&format!("{url}{query}")).await), "403 AccessError", "{query}");
    }
    assert_eq!(said(&server.http().get(url).await), "401 Unauthorized");

    // In pages, each going on where the one before ended.
    let whole = on(all.get(url).await.expect(200).json());
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = all.get(&format!("{url}?limit=2{after}")).await.expect(200).json();
        let next = page["next"].as_str().map(str::to_owned);
        seen.extend(on(page));
        match next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, whole);
    for bad in ["?after=x", "?since=yesterday", "?cache=a b"] {
        assert_eq!(all.get(&format!("{url}{bad}")).await.status.as_u16(), 400, "{bad}");
    }
}

#[tokio::test]
async fn old_rows_are_forgotten_at_the_start() {
    let mut server = Server::builder().config("[flywheel.audit]\nmax-rows = 3\n").start();
    for cache in ["a", "b", "c", "d", "e"] {
        create_cache(&server.admin(), cache, false).await;
    }
    server.restart();
    let mut told = acts(&server, &[]);
    for _ in 0..500 {
        if told.len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        told = acts(&server, &[]);
    }
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told.last().unwrap(), "done cache.create e admin");
}
