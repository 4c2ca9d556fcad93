//! `POST /_api/v1/get-missing-paths`

use reqwest::Method;
use serde_json::json;

use super::super::{
    said::said,
    world::{World, create_cache, missing},
};
use crate::harness::{Server, TestPath};

const URL: &str = "/_api/v1/get-missing-paths";

#[tokio::test]
async fn what_is_missing_is_named_in_the_order_of_the_request() {
    let world = World::new().await;
    let (a, b) = (TestPath::small("a"), TestPath::small("b"));
    let ask = json!({"cache": "main", "store_path_hashes": [b.hash(), world.kept.hash(), a.hash()]});
    let answer = world.admin.send_json(Method::POST, URL, &ask).await.expect(200);
    assert_eq!(answer.text(), format!(r#"{{"missing_paths":["{}","{}"]}}"#, b.hash(), a.hash()));
    assert_eq!(answer.header("content-type"), "application/json");

    let nothing = json!({"cache": "main", "store_path_hashes": []});
    assert_eq!(world.admin.send_json(Method::POST, URL, &nothing).await.text(), r#"{"missing_paths":[]}"#);
}

#[tokio::test]
async fn every_cache_lacks_paths_of_its_own() {
    let world = World::new().await;
    create_cache(&world.admin, "other", true).await;
    assert_eq!(missing(&world.admin, "main", &[&world.kept]).await, Vec::<String>::new());
    assert_eq!(missing(&world.admin, "other", &[&world.kept]).await, [world.kept.hash()]);
}

#[tokio::test]
async fn many_paths_are_asked_for_at_once() {
    let server = Server::new();
    let paths: Vec<TestPath> = (0..3000).map(|i| TestPath::of_nar(&format!("p{i}"), "")).collect();
    let all: Vec<&TestPath> = paths.iter().collect();
    assert_eq!(missing(&server.admin(), "main", &all).await, paths.iter().map(TestPath::hash).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let server = Server::new();
    let admin = server.admin();
    let hash = TestPath::small("a").hash();
    for ask in [
        json!({}),
        json!([]),
        json!({"cache": "main"}),
        json!({"cache": "main", "store_path_hashes": [hash.to_uppercase()]}),
        json!({"cache": "main", "store_path_hashes": [&hash[1..]]}),
        json!({"cache": "main", "store_path_hashes": ["../../../../../../../etc/passwd0"]}),
        json!({"cache": "main", "store_path_hashes": [format!("{hash}\n")]}),
        json!({"cache": "main", "store_path_hashes": [1]}),
        json!({"cache": "../main", "store_path_hashes": [hash]}),
        json!({"cache": "", "store_path_hashes": [hash]}),
    ] {
        assert_eq!(said(&admin.send_json(Method::POST, URL, &ask).await), "400 RequestError", "{ask}");
    }
    let not_json = admin.request(Method::POST, URL).body("{").send().await.unwrap();
    assert_eq!(not_json.status(), 400);
    let too_large = json!({"cache": "main", "store_path_hashes": ["x".repeat(17 << 20)]});
    assert_eq!(said(&admin.send_json(Method::POST, URL, &too_large).await), "413 TooLarge");
    assert_eq!(said(&admin.get("/livez").await), "200");
}

#[tokio::test]
async fn only_who_may_push_may_ask() {
    let server = Server::new();
    let ask = |cache: &str| json!({"cache": cache, "store_path_hashes": []});
    let puller = server.http().with_token(&server.token(&["--pull", "*"]));
    let pusher = server.http().with_token(&server.token(&["--push", "*"]));
    let stranger = server.http().with_token(&server.token(&["--push", "elsewhere"]));
    for (who, cache, expected) in [
        (&server.http(), "main", "401 Unauthorized"),
        (&server.http(), "absent", "401 Unauthorized"),
        (&stranger, "main", "403 AccessError"),
        (&stranger, "absent", "401 Unauthorized"),
        (&puller, "main", "403 AccessError"),
        (&puller, "absent", "403 AccessError"),
        (&pusher, "main", "200"),
        (&pusher, "absent", "404 NoSuchCache"),
    ] {
        let answer = who.send_json(Method::POST, URL, &ask(cache)).await;
        assert_eq!(said(&answer), expected, "{cache} {who:?}");
    }
}

#[tokio::test]
async fn it_is_posted_to() {
    let server = Server::new();
    let answer = server.admin().get(URL).await;
    assert_eq!((said(&answer).as_str(), answer.header("allow")), ("405 MethodNotAllowed", "POST"));
}
