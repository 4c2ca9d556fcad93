//! For people and probes.

use reqwest::Method;

use super::{said::said, world::narinfo};
use crate::harness::{Server, TestPath, answer};

#[tokio::test]
async fn the_front_page_is_for_people_and_asks_for_nothing() {
    let server = Server::new();
    let page = server.http().get("/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.text().contains("Nix binary cache"));
    server.http().head("/").await.expect(200);
}

#[tokio::test]
async fn probes_are_answered() {
    let server = Server::new();
    for url in ["/health", "/healthz", "/livez", "/readyz"] {
        let answer = server.http().get(url).await.expect(200);
        assert_eq!(answer.text(), "ok\n", "{url}");
    }
}

#[tokio::test]
async fn a_server_whose_storage_is_gone_lives_and_is_not_ready() {
    let server = Server::new();
    if server.backing().files(&server.data_dir()).is_none() {
        // A service elsewhere cannot be taken away.
        return;
    }
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let nar = format!("/main/{}", narinfo(&server.http(), "main", &path).await.url);
    let store = server.data_dir().join("store");
    std::fs::rename(&store, store.with_extension("away")).unwrap();
    assert_eq!(said(&server.http().get("/livez").await), "200");
    let not_ready = server.http().get("/readyz").await;
    assert_eq!(said(&not_ready), "503 Unavailable");
    assert_eq!(not_ready.header("retry-after"), "5");
    // A disk that is not there is no damage, of which the index would have to be told.
    assert_eq!(said(&server.http().get(&nar).await), "503 Unavailable");
    std::fs::rename(store.with_extension("away"), &store).unwrap();
    assert_eq!(said(&server.http().get("/readyz").await), "200");
    server.http().pull_same("main", &path, &server.http().public_key("main").await).await;
}

/// The value of a metric with exactly these labels, in whatever order.
fn metric(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (told, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let all = labels.iter().all(|(key, value)| told.contains(&format!("{key}=\"{value}\"")));
        (all && told.matches("=\"").count() == labels.len()).then(|| value.parse().ok())?
    })
}

/// Dashboards and alerts go by these names and labels.
#[tokio::test]
async fn metrics_have_the_names_that_dashboards_ask_for() {
    let server = Server::new();
    let (path, absent) = (TestPath::small("a"), TestPath::small("b"));
    server.admin().upload("main", &path).await.expect(200);
    for _ in 0..3 {
        server.http().get(&format!("/main/{}.narinfo", path.hash())).await.expect(200);
    }
    server.http().get(&format!("/main/{}.narinfo", absent.hash())).await.expect(404);
    server.http().get("/main/nix-cache-info").await.expect(200);
    server.http().get("/nix-cache-info").await.expect(200);
    server.http().get("/nowhere").await.expect(404);

    let answer = server.http().get("/metrics").await.expect(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    let text = answer.text();
    let requests = |path: &str, method: &str, status: &str, cache: &str| {
        metric(
            &text,
            "http_requests_total",
            &[("path", path), ("method", method), ("status", status), ("cache", cache)],
        )
    };
    assert_eq!(requests("/{hash}.narinfo", "GET", "200", "main"), Some(3.0), "{text}");
    assert_eq!(requests("/{hash}.narinfo", "GET", "404", ""), Some(1.0), "{text}");
    assert_eq!(requests("/nix-cache-info", "GET", "200", "main"), Some(2.0), "{text}");
    assert_eq!(requests("/_api/v1/upload-path", "PUT", "200", ""), Some(1.0), "{text}");
    assert_eq!(metric(&text, "attic_cache_hits_total", &[("cache", "main")]), Some(3.0), "{text}");
    assert_eq!(metric(&text, "attic_cache_misses_total", &[("cache", "main")]), Some(1.0), "{text}");
    assert_eq!(metric(&text, "flywheel_paths", &[]), Some(1.0), "{text}");
    let nar_bytes = path.nar.len() as f64;
    assert_eq!(metric(&text, "flywheel_nar_bytes", &[]), Some(nar_bytes), "{text}");
    assert_eq!(metric(&text, "flywheel_pushed_nar_bytes_total", &[]), Some(nar_bytes), "{text}");
    assert_eq!(metric(&text, "flywheel_quarantined_nars", &[]), Some(0.0), "{text}");
    assert!(metric(&text, "attic_storage_bytes", &[]).is_some_and(|bytes| bytes > 0.0), "{text}");
    let bucket = [("path", "/nix-cache-info"), ("le", "0.5")];
    assert!(metric(&text, "http_request_duration_seconds_bucket", &bucket).is_some(), "{text}");
}

/// Every label is memory for ever: what anybody can make up must not become one.
#[tokio::test]
async fn strangers_make_no_metrics() {
    let server = Server::new();
    let http = server.http();
    for i in 0..20 {
        let made_up = format!("madeup{i}");
        http.get(&format!("/{made_up}")).await.expect(404);
        http.get(&format!("/{made_up}/nix-cache-info")).await.expect(401);
        http.get(&format!("/main/{made_up}")).await.expect(404);
        http.get(&format!("/_api/v1/cache-config/{made_up}")).await.expect(401);
        let method = Method::from_bytes(made_up.to_uppercase().as_bytes()).unwrap();
        answer(http.request(method.clone(), "/main/nix-cache-info")).await.expect(405);
        answer(http.request(method, "/_api/v1/upload-path")).await.expect(405);
    }
    let text = http.get("/metrics").await.text().to_lowercase();
    assert!(!text.contains("madeup"), "{text}");
}

/// A line for each request, in the fields that log shippers look for, and no secret in it.
#[tokio::test]
async fn requests_are_logged_without_their_tokens() {
    let server = Server::new();
    let token = server.token(&["--pull", "*"]);
    server.http().with_token(&token).get("/main/nix-cache-info?x=y").await.expect(200);
    server.http().request(Method::GET, "/main/nix-cache-info").basic_auth("x", Some(&token)).send().await.unwrap();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("/main/nix-cache-info")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["method"], &line["status"]), (&"GET".into(), &200.into()), "{line}");
    assert_eq!((&line["path"], &line["level"]), (&"/main/nix-cache-info".into(), &"INFO".into()), "{line}");
    assert!(line["duration_ms"].is_u64(), "{line}");
    assert!(!log.contains(&token));
}
