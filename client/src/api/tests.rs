use super::*;
use crate::fake_server::{FakeServer, Reply};

const CONFIG: &str = r#"{"public_key":"main:K","api_endpoint":"http://elsewhere/"}"#;

fn main() -> CacheName {
    "main".parse().unwrap()
}

fn code(error: &ApiError) -> Option<&str> {
    match error {
        ApiError::Refused(refusal) => Some(&refusal.body.as_ref()?.error),
        _ => None,
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let busy = Reply::Answer(503, "retry-after: 3600\r\n", String::new());
    let slow = Reply::Answer(429, "", "<html>".to_owned());
    for replies in [vec![busy.clone(), slow, Reply::json(200, CONFIG)], vec![Reply::Cut(0), Reply::json(200, CONFIG)]] {
        let count = replies.len();
        let server = FakeServer::start(replies).await;
        let config = server.api(|_| {}).cache_config(&main()).await.unwrap();
        assert_eq!(config.public_key.as_deref(), Some("main:K"));
        let asked = server.asked();
        assert_eq!(asked.len(), count);
        assert!(asked[0].head.starts_with("get /_api/v1/cache-config/main http/1.1\r\n"), "{}", asked[0].head);
        assert!(asked[0].head.contains("authorization: bearer t\r\n"), "the token goes along");
    }
    let server = FakeServer::start(vec![busy; 9]).await;
    let error = server.api(|_| {}).cache_config(&main()).await.unwrap_err();
    assert_eq!((server.asked().len(), matches!(error, ApiError::Refused(_))), (3, true));
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    for (status, name) in [(404, "NoSuchCache"), (401, "Unauthorized"), (403, "AccessError"), (400, "RequestError")] {
        let server = FakeServer::start([Reply::error(status, name)]).await;
        let error = server.api(|_| {}).cache_config(&main()).await.unwrap_err();
        assert_eq!((code(&error), server.asked().len()), (Some(name), 1));
        assert_eq!(error.is_not_allowed(), matches!(status, 401 | 403));
        assert_eq!(error.to_string(), format!("As {name} says. ({name}, status {status})"));
    }
    let server = FakeServer::start([Reply::json(200, "<html>hello")]).await;
    let error = server.api(|_| {}).cache_config(&main()).await.unwrap_err();
    assert!(matches!(error, ApiError::Answer { .. }) && server.asked().len() == 1);
}

/// The stable code says more than the status: a body that was cut off on the way is worth another try.
#[tokio::test]
async fn a_code_that_says_try_again_is_believed() {
    let server = FakeServer::start([Reply::error(400, "IncompleteBody"), Reply::json(200, CONFIG)]).await;
    assert!(server.api(|_| {}).cache_config(&main()).await.is_ok());
}

/// The second creation would be refused because of the first.
#[tokio::test]
async fn a_creation_that_may_have_happened_is_not_repeated() {
    let create = CacheConfig::default();
    let server = FakeServer::start([Reply::Cut(0), Reply::json(200, "")]).await;
    assert!(matches!(server.api(|_| {}).create_cache(&main(), &create).await, Err(ApiError::Broken { .. })));
    let server = FakeServer::start([Reply::error(503, "Unavailable"), Reply::json(200, "")]).await;
    assert!(server.api(|_| {}).create_cache(&main(), &create).await.is_ok());
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let mut settings = Settings::new("http://127.0.0.1:1/".parse().unwrap(), None);
    settings.retry.attempts = 1.try_into().unwrap();
    let error = Api::new(settings).unwrap().cache_config(&main()).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }) && error.is_unreachable());
}

#[tokio::test]
async fn many_paths_are_asked_about_in_several_questions() {
    let answer = |hash: &str| Reply::json(200, &format!(r#"{{"missing_paths":["{hash}"]}}"#));
    let (first, last) = ("0".repeat(32), "1".repeat(32));
    let server = FakeServer::start([answer(&first), answer(&last)]).await;
    let hashes = vec![first.parse().unwrap(); HASHES_PER_QUESTION + 1];
    let missing = server.api(|_| {}).get_missing_paths(&main(), &hashes).await.unwrap();
    assert_eq!(missing, [first.parse().unwrap(), last.parse().unwrap()].into());
}

#[test]
fn another_endpoint_is_followed_unless_it_is_less_safe() {
    let api = |endpoint: &str| Api::new(Settings::new(endpoint.parse().unwrap(), None)).unwrap();
    assert_eq!(
        api("http://a").at("https://b/x/").unwrap().url("get-missing-paths").as_str(),
        "https://b/x/_api/v1/get-missing-paths"
    );
    assert_eq!(api("http://a/under").url("cache-config/main").as_str(), "http://a/under/_api/v1/cache-config/main");
    assert!(api("https://a").at("http://b").is_err());
    assert!(api("http://a").at("ftp://b").is_err() && api("http://a").at("b").is_err());
}

#[tokio::test]
async fn native_push_is_found_out_by_asking() {
    let sizes = r#"{"nar_size_threshold":1024,"min_size":1024,"avg_size":4096,"max_size":16384}"#;
    let parameters = |version: u32, sizes: &str| {
        let text = r#""max_stream_bytes":1000,"compression_level":3"#;
        Reply::json(200, &format!(r#"{{"version":{version},"chunking":{sizes},{text}}}"#))
    };
    let ask = async |reply| {
        let server = FakeServer::start([reply]).await;
        let answer = server.api(|_| {}).push_parameters(&main()).await;
        assert!(server.asked()[0].head.starts_with("get /_flywheel/v1/caches/main/push http/1.1\r\n"));
        answer
    };
    assert!(matches!(ask(parameters(1, sizes)).await, Ok(PushSupport::Native(p)) if p.max_stream_bytes == 1000));
    assert!(matches!(ask(Reply::json(200, r#"{"version":2,"other":1}"#)).await, Ok(PushSupport::Other { version: 2 })));
    assert!(matches!(ask(Reply::error(404, "NotFound")).await, Ok(PushSupport::None)));
    assert!(matches!(ask(Reply::json(404, "<html>")).await, Ok(PushSupport::None)));
    assert_eq!(code(&ask(Reply::error(404, "NoSuchCache")).await.unwrap_err()), Some("NoSuchCache"));
    // Sizes that a cutter would choke on.
    let odd = sizes.replace("4096", "4097");
    assert!(matches!(ask(parameters(1, &odd)).await, Err(ApiError::Answer { .. })));
}

#[tokio::test]
async fn a_bitmap_has_one_bit_for_each_chunk() {
    let chunks = [protocol::ChunkHash([1; 32]), protocol::ChunkHash([2; 32])];
    let server = FakeServer::start([Reply::json(200, "\u{2}"), Reply::json(200, "\u{4}")]).await;
    let api = server.api(|_| {});
    let missing = api.missing_chunks(&main(), &chunks).await.unwrap();
    assert!(!missing.contains(0) && missing.contains(1));
    assert_eq!(server.asked()[0].body, [[1; 32], [2; 32]].concat());
    assert!(matches!(api.missing_chunks(&main(), &chunks).await, Err(ApiError::Answer { .. })));
    assert_eq!(api.traffic(), Traffic { requests: 2, sent_bytes: 128 });
}
