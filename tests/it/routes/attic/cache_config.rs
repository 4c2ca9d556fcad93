//! `/_api/v1/cache-config/{cache}`

use formats::{SecretKey, StoreDir};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::{
    said::said,
    world::{create_cache, missing, narinfo},
};
use crate::harness::{Answer, Http, Server, TestPath};

fn url(cache: &str) -> String {
    format!("/_api/v1/cache-config/{cache}")
}

async fn create(http: &Http, cache: &str, config: Value) -> Answer {
    http.send_json(Method::POST, &url(cache), &config).await
}

async fn configure(http: &Http, cache: &str, config: Value) -> Answer {
    http.send_json(Method::PATCH, &url(cache), &config).await
}

async fn config(http: &Http, cache: &str) -> Value {
    http.get(&url(cache)).await.expect(200).json()
}

#[tokio::test]
async fn a_cache_is_told_as_attic_tells_it() {
    let server = Server::new();
    let admin = server.admin();
    let body = r#"{"keypair":"Generate","is_public":false,"store_dir":"/nix/store","priority":41,"upstream_cache_key_names":["cache.nixos.org-1"]}"#;
    let created = admin.request(Method::POST, &url("c")).body(body).send().await.unwrap();
    assert_eq!((created.status().as_u16(), created.text().await.unwrap().as_str()), (200, ""));

    let told = admin.get(&url("c")).await.expect(200);
    assert_eq!(told.header("content-type"), "application/json");
    let key = admin.public_key("c").await;
    assert_eq!(key.name().as_str(), "c", "a generated key has the name of its cache");
    let host = server.address();
    assert_eq!(
        told.text(),
        format!(
            r#"{{"substituter_endpoint":"http://{host}/c","api_endpoint":"http://{host}/","public_key":"{key}","is_public":false,"store_dir":"/nix/store","priority":41,"upstream_cache_key_names":["cache.nixos.org-1"],"retention_period":"Global"}}"#
        )
    );
    assert_eq!(admin.get("/c/attic-cache-info").await.expect(200).text(), told.text());
}

#[tokio::test]
async fn the_endpoints_are_those_that_the_client_came_by() {
    let server = Server::new();
    let proxied = server.http().request(Method::GET, &url("main")).header("host", "cache.example.org");
    let config: Value = proxied.header("x-forwarded-proto", "https").send().await.unwrap().json().await.unwrap();
    assert_eq!(config["substituter_endpoint"], "https://cache.example.org/main");
    assert_eq!(config["api_endpoint"], "https://cache.example.org/");

    let told = Server::builder().config(
        "api-endpoint = \"https://api.example.org/\"\nsubstituter-endpoint = \"https://cdn.example.org/\"\n\
         allowed-hosts = [\"cache.example.org\"]\n",
    );
    let server = told.start();
    let named = server.http().request(Method::GET, &url("main")).header("host", "cache.example.org");
    let config: Value = named.send().await.unwrap().json().await.unwrap();
    assert_eq!(config["substituter_endpoint"], "https://cdn.example.org/main");
    assert_eq!(config["api_endpoint"], "https://api.example.org/");
    assert_eq!(said(&server.http().get(&url("main")).await), "400 RequestError", "127.0.0.1 is not an allowed host");
}

#[tokio::test]
async fn what_creating_leaves_out_has_a_default() {
    let server = Server::new();
    let admin = server.admin();
    create(&admin, "bare", json!({})).await.expect(200);
    let bare = config(&admin, "bare").await;
    assert_eq!(
        (&bare["is_public"], &bare["store_dir"], &bare["priority"], &bare["upstream_cache_key_names"]),
        (&json!(false), &json!("/nix/store"), &json!(41), &json!([]))
    );
    assert_eq!(admin.public_key("bare").await.name().as_str(), "bare");
}

#[tokio::test]
async fn a_cache_is_created_once() {
    let server = Server::new();
    let admin = server.admin();
    create(&admin, "c", json!({"priority": 30})).await.expect(200);
    let before = config(&admin, "c").await;
    let again = create(&admin, "c", json!({"priority": 50})).await;
    assert_eq!(said(&again), "409 CacheAlreadyExists");
    assert_eq!(again.json()["message"], "The cache already exists.");
    assert_eq!(config(&admin, "c").await, before);
}

#[tokio::test]
async fn of_two_who_create_it_at_once_one_does() {
    let server = Server::new();
    let admin = server.admin();
    let tries = (0..8).map(|_| create(&admin, "c", json!({})));
    let mut said: Vec<String> = futures::future::join_all(tries).await.iter().map(said).collect();
    said.sort();
    assert_eq!(said[0], "200");
    assert_eq!(said[1..], vec!["409 CacheAlreadyExists"; 7]);
}

#[tokio::test]
async fn a_cache_signs_with_the_key_that_it_was_given() {
    let server = Server::new();
    let admin = server.admin();
    let (first, second) = (key("first"), key("second"));
    create(&admin, "c", json!({"keypair": {"Keypair": first.to_text()}})).await.expect(200);
    assert_eq!(admin.public_key("c").await, first.public_key());
    let path = TestPath::small("a");
    admin.upload("c", &path).await.expect(200);
    assert!(narinfo(&admin, "c", &path).await.info.is_signed_by(&StoreDir::default(), [&first.public_key()]));

    configure(&admin, "c", json!({"keypair": {"Keypair": second.to_text()}})).await.expect(200);
    let info = narinfo(&admin, "c", &path).await.info;
    assert!(info.is_signed_by(&StoreDir::default(), [&second.public_key()]), "what was pushed before is signed anew");

    configure(&admin, "c", json!({"keypair": "Generate"})).await.expect(200);
    let generated = admin.public_key("c").await;
    assert_ne!(generated, second.public_key());
    assert!(narinfo(&admin, "c", &path).await.info.is_signed_by(&StoreDir::default(), [&generated]));
    assert!(!server.log().contains(&first.to_text()), "a secret key is not logged");
}

fn key(name: &str) -> SecretKey {
    SecretKey::generate(name.parse().unwrap(), [name.len().try_into().unwrap(); 32])
}

#[tokio::test]
async fn a_change_changes_what_it_names_and_nothing_else() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "c", false).await;
    let mut expected = config(&admin, "c").await;
    for (field, value) in [
        ("is_public", json!(true)),
        ("priority", json!(-5)),
        ("upstream_cache_key_names", json!(["a", "b-1"])),
        ("store_dir", json!("/other/store")),
        ("retention_period", json!({"Period": 2_592_000})),
        ("retention_period", json!({"Period": 0})),
        ("retention_period", json!("Global")),
        ("is_public", json!(false)),
    ] {
        let changed = configure(&admin, "c", json!({field: value})).await.expect(200);
        assert_eq!(changed.text(), "");
        expected[field] = value;
        assert_eq!(config(&admin, "c").await, expected, "{field}");
    }
}

#[tokio::test]
async fn a_retention_stays_unless_a_change_names_it() {
    let server = Server::new();
    let admin = server.admin();
    create(&admin, "c", json!({"retention_period": {"Period": 86400}})).await.expect(200);
    configure(&admin, "c", json!({"priority": 30})).await.expect(200);
    assert_eq!(config(&admin, "c").await["retention_period"], json!({"Period": 86400}));
    // Attic's own client always says this.
    configure(&admin, "c", json!({"priority": 31, "retention_period": "Global"})).await.expect(200);
    assert_eq!(config(&admin, "c").await["retention_period"], json!("Global"));
}

#[tokio::test]
async fn settings_that_make_no_sense_change_nothing() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "c", false).await;
    let before = config(&admin, "c").await;
    for (bad, expected) in [
        (json!({"priority": "high"}), "400 RequestError"),
        (json!({"priority": 1_u64 << 40}), "400 RequestError"),
        (json!({"is_public": "yes"}), "400 RequestError"),
        (json!({"store_dir": "nix/store"}), "400 RequestError"),
        (json!({"store_dir": "/nix/store\nPriority: 1"}), "400 RequestError"),
        (json!({"store_dir": ""}), "400 RequestError"),
        (json!({"upstream_cache_key_names": ["a:b"]}), "400 RequestError"),
        (json!({"upstream_cache_key_names": [""]}), "400 RequestError"),
        (json!({"upstream_cache_key_names": "a"}), "400 RequestError"),
        (json!({"retention_period": {"Period": -1}}), "400 RequestError"),
        (json!({"retention_period": "Sometimes"}), "400 RequestError"),
        (json!({"keypair": "generate"}), "400 RequestError"),
        (json!({"keypair": {"Keypair": "no key"}}), "400 InvalidKey"),
        (json!({"keypair": {"Keypair": "a:AAAA"}}), "400 InvalidKey"),
        (json!({"keypair": {"Keypair": format!("{}\nSig: x", key("a").to_text())}}), "400 InvalidKey"),
        (json!("x"), "400 RequestError"),
    ] {
        assert_eq!(said(&configure(&admin, "c", bad.clone()).await), expected, "{bad}");
        assert_eq!(said(&create(&admin, "new", bad.clone()).await), expected, "{bad}");
    }
    assert_eq!(config(&admin, "c").await, before);
    assert_eq!(said(&admin.get(&url("new")).await), "404 NoSuchCache");
}

#[tokio::test]
async fn a_name_that_no_cache_can_have_is_refused() {
    let server = Server::new();
    let admin = server.admin();
    let long = "x".repeat(51);
    for name in ["-a", "a.b", "a%20b", "a%2Fb", "a%00", "a%0A", "%C3%A4", "%ff", "nar", "log", &long] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            let answer = admin.send_json(method.clone(), &url(name), &json!({})).await;
            assert_eq!(said(&answer), "400 RequestError", "{method} {name}");
        }
    }
}

#[tokio::test]
async fn a_destroyed_cache_is_gone_and_its_name_is_free() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "c", true).await;
    let path = TestPath::small("a");
    admin.upload("c", &path).await.expect(200);
    let old_key = admin.public_key("c").await;

    let destroyed = admin.delete(&url("c")).await.expect(200);
    assert_eq!(destroyed.text(), "");
    assert_eq!(said(&admin.delete(&url("c")).await), "404 NoSuchCache");
    assert_eq!(said(&admin.get(&url("c")).await), "404 NoSuchCache");
    assert_eq!(said(&admin.get(&format!("/c/{}.narinfo", path.hash())).await), "404 NoSuchCache");
    assert_eq!(said(&admin.upload("c", &path).await), "404 NoSuchCache");
    assert_eq!(said(&configure(&admin, "c", json!({"priority": 1})).await), "404 NoSuchCache");
    assert_eq!(said(&server.http().get(&url("c")).await), "401 Unauthorized");

    create_cache(&admin, "c", true).await;
    assert_ne!(admin.public_key("c").await, old_key);
    assert_eq!(missing(&admin, "c", &[&path]).await, [path.hash()]);
    assert_eq!(said(&admin.get(&format!("/c/{}.narinfo", path.hash())).await), "404 NoSuchObject");
    assert_eq!(said(&admin.get(&format!("/c/{}.ls", path.hash())).await), "404 NoSuchObject");
    admin.upload("c", &path).await.expect(200);
    assert!(narinfo(&admin, "c", &path).await.info.path == path.info.path);
}

#[tokio::test]
async fn each_verb_needs_its_own_permission() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "there", false).await;
    let with = |permission: &str| server.http().with_token(&server.token(&[permission, "*"]));
    // Every verb, by everybody who has one permission only.
    for permission in
        ["--pull", "--push", "--delete", "--create-cache", "--configure-cache-retention", "--destroy-cache"]
    {
        let http = with(permission);
        let expect = |needed: &str, done: &str| {
            if permission == needed { done.to_owned() } else { "403 AccessError".to_owned() }
        };
        assert_eq!(said(&http.get(&url("there")).await), expect("--pull", "200"), "{permission}");
        assert_eq!(said(&http.get(&url("absent")).await), expect("--pull", "404 NoSuchCache"), "{permission}");
        let taken = create(&http, "there", json!({})).await;
        assert_eq!(said(&taken), expect("--create-cache", "409 CacheAlreadyExists"), "{permission}");
        let retention = configure(&http, "there", json!({"retention_period": "Global"})).await;
        assert_eq!(said(&retention), expect("--configure-cache-retention", "200"), "{permission}");
        assert_eq!(said(&configure(&http, "there", json!({"priority": 1})).await), "403 AccessError", "{permission}");
        assert_eq!(
            said(&http.delete(&url("absent")).await),
            expect("--destroy-cache", "404 NoSuchCache"),
            "{permission}"
        );
    }
    let configurer = with("--configure-cache");
    configure(&configurer, "there", json!({"priority": 7})).await.expect(200);
    let both = json!({"priority": 8, "retention_period": "Global"});
    assert_eq!(said(&configure(&configurer, "there", both).await), "403 AccessError");
    assert_eq!(config(&admin, "there").await["priority"], 7);
}

#[tokio::test]
async fn without_a_token_a_private_cache_and_none_are_the_same() {
    let server = Server::new();
    create_cache(&server.admin(), "private", false).await;
    let nobody = server.http();
    let stranger = server.http().with_token(&server.token(&["--pull", "elsewhere", "--push", "elsewhere"]));
    for http in [&nobody, &stranger] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            let there = http.send_json(method.clone(), &url("private"), &json!({"priority": 1})).await;
            let absent = http.send_json(method.clone(), &url("absent"), &json!({"priority": 1})).await;
            assert_eq!(said(&there), "401 Unauthorized", "{method}");
            assert_eq!(there.json()["message"], "Unauthorized.");
            assert_eq!((there.status, &there.body), (absent.status, &absent.body), "{method}");
            let mut headers = [there.headers, absent.headers];
            headers.iter_mut().for_each(|headers| drop(headers.remove("date")));
            assert_eq!(headers[0], headers[1], "{method}");
        }
    }
}

#[tokio::test]
async fn the_methods_are_named() {
    let server = Server::new();
    let answer = server.admin().put(&url("main"), "{}").await;
    assert_eq!(said(&answer), "405 MethodNotAllowed");
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH", "POST"]);
}
