//! Alerts and the dashboard: they read what a real server shows, and each alert has its page in the manual.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use reqwest::Method;
use yaml_rust2::{Yaml, YamlLoader};

use super::{scrub::until, store::packs};
use crate::harness::{Node, Seed, Server, TestPath};

/// Metrics that a server shows only when something has happened that no test can wait for; the program declares each.
const RARE: [&str; 1] = ["flywheel_slow_requests_total"];
/// Metrics of Prometheus itself.
const OF_PROMETHEUS: [&str; 1] = ["up"];
/// Words of the query language that stand where a metric could.
const WORDS: [&str; 9] = ["and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The rules: what each is called, and its expression.
fn rules() -> Vec<(String, Yaml)> {
    let text = fs::read_to_string(repository().join("deploy/prometheus/rules.yaml")).unwrap();
    let file = YamlLoader::load_from_str(&text).unwrap().swap_remove(0);
    let groups = file["groups"].as_vec().unwrap().clone();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_vec().unwrap().clone())
        .map(|rule| {
            let name = rule["alert"].as_str().or_else(|| rule["record"].as_str()).unwrap().to_owned();
            (name, rule)
        })
        .collect()
}

/// The expressions of the dashboard, with the titles of their panels.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join("deploy/grafana/flywheel-cache.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            found.push((panel["title"].as_str().unwrap().to_owned(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    found
}

/// The metrics that an expression names. Fails if its brackets do not match.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut open, mut rest) = (Vec::new(), expression);
    let mut labels_follow = false;
    while let Some(c) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).collect();
        if !word.is_empty() {
            rest = &rest[word.len()..];
            let next = rest.trim_start();
            let is_function = ["(", "by ", "by(", "without ", "without("].iter().any(|start| next.starts_with(start));
            let in_labels = open.iter().any(|bracket| "{[".contains(*bracket)) || open.last() == Some(&'b');
            labels_follow = ["by", "without", "on", "ignoring"].contains(&word.as_str());
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            if !is_number && !is_function && !in_labels && !WORDS.contains(&word.as_str()) {
                found.insert(word);
            }
            continue;
        }
        match c {
            '"' => {
                let end = rest[1..].find('"').unwrap_or_else(|| panic!("a text does not end: {expression}"));
                rest = &rest[end + 2..];
                continue;
            }
            '(' => open.push(if std::mem::take(&mut labels_follow) { 'b' } else { '(' }),
            '{' | '[' => open.push(c),
            ')' => assert!(matches!(open.pop(), Some('(' | 'b')), "brackets do not match: {expression}"),
            '}' => assert_eq!(open.pop(), Some('{'), "brackets do not match: {expression}"),
            ']' => assert_eq!(open.pop(), Some('['), "brackets do not match: {expression}"),
            _ => {}
        }
        rest = &rest[c.len_utf8()..];
    }
    assert!(open.is_empty(), "brackets do not match: {expression}");
    found
}

/// The names of all metrics that a server shows.
fn shown(metrics: &str) -> BTreeSet<String> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn expressions_are_taken_apart() {
    let names = |expression| metrics_in(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(names(r#"sum by (le, x) (rate(a_b{path=~"/{c}|d"}[5m])) / max(c:d) > 0.5"#), ["a_b", "c:d"]);
    assert_eq!(names("time() - (max(x) > 0) > 30 * 86400"), ["x"]);
}

#[tokio::test]
async fn alerts_and_panels_use_what_a_server_shows() {
    let config = "[garbage-collection]\ninterval = \"1s\"\n[flywheel.collection]\nmax-size = \"1 GiB\"\n\
                  [flywheel.inspection]\nscrub-rate = \"64 MiB\"\nscrub-interval = \"1s\"\n";
    let server = Server::builder().config(config).start();
    let (admin, http) = (server.admin(), server.http());
    let limits = serde_json::json!({"quota": 1 << 30});
    admin.send_json(Method::PATCH, "/_flywheel/v1/caches/main/limits", &limits).await.expect(200);
    let path = TestPath::new("path", &Node::noise(&mut Seed::new(1, "metrics"), 2 << 20));
    admin.upload("main", &path).await.expect(200);
    http.get(&format!("/main/{}.narinfo", path.hash())).await.expect(200);
    http.get(&format!("/main/{}.narinfo", TestPath::small("absent").hash())).await.expect(404);
    let mut other = TestPath::small("other");
    other.info.path = path.info.path.clone();
    admin.upload("main", &other).await.expect(200);
    let pack = packs(&server).swap_remove(0);
    pack.flip(pack.frames[0].0 + 10, 0);
    until("the scrub to find it", async || {
        shown(&http.get("/metrics").await.text()).contains("flywheel_scrub_findings_total")
    })
    .await;
    until("a round of collection", async || {
        shown(&http.get("/metrics").await.text()).contains("attic_gc_last_run_timestamp_seconds")
    })
    .await;
    let shown = shown(&http.get("/metrics").await.text());

    let declared = fs::read_to_string(repository().join("server/src/metrics.rs")).unwrap();
    let manual = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let rules = rules();
    let recorded: BTreeSet<&str> = rules.iter().map(|(name, _)| name.as_str()).collect();
    let expressions = rules.iter().map(|(name, rule)| (name.clone(), rule["expr"].as_str().unwrap().to_owned()));
    let mut wrong = BTreeMap::new();
    for (place, expression) in expressions.chain(panels()) {
        for name in metrics_in(&expression) {
            let family = name.trim_end_matches("_bucket");
            let is_rare = RARE.contains(&family) && declared.contains(&format!("\"{family}\""));
            let is_there = shown.contains(&name) || is_rare;
            if !is_there && !OF_PROMETHEUS.contains(&family) && !recorded.contains(family) {
                wrong.insert(name, place.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "no server shows these: {wrong:?}; it shows {shown:?}");
    for name in &shown {
        let family = ["_bucket", "_sum", "_count"].iter().fold(name.as_str(), |name, end| name.trim_end_matches(end));
        assert!(manual.contains(&format!("`{family}`")), "docs/operations.md does not explain {family}");
    }
    // Every alert leads to a section of the manual that is there.
    for (name, rule) in &rules {
        if rule["alert"].as_str().is_none() {
            continue;
        }
        let runbook = rule["annotations"]["runbook"].as_str().unwrap_or_else(|| panic!("{name} has no runbook"));
        let section = runbook.strip_prefix("docs/operations.md#").unwrap();
        let has_section =
            manual.lines().any(|line| line.strip_prefix("### ").is_some_and(|title| title.to_lowercase() == section));
        assert!(has_section, "{runbook} leads nowhere");
        assert!(rule["labels"]["severity"].as_str().is_some() && rule["annotations"]["summary"].as_str().is_some());
    }
}
