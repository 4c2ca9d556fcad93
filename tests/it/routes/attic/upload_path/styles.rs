//! The two places where metadata can stand: a header, or in front of the NAR.

use protocol::attic::{NAR_INFO_HEADER, NAR_INFO_PREAMBLE_SIZE_HEADER};
use reqwest::Method;
use serde_json::json;

use super::{URL, about, served, upload};
use crate::{
    harness::{Answer, Http, Server, TestPath, answer},
    routes::{
        said::said,
        world::{World, narinfo},
    },
};

async fn with_preamble(http: &Http, size: impl ToString, body: Vec<u8>) -> Answer {
    answer(http.request(Method::PUT, URL).header(NAR_INFO_PREAMBLE_SIZE_HEADER, size.to_string()).body(body)).await
}

#[tokio::test]
async fn metadata_comes_in_a_header_or_in_front_of_the_nar() {
    let server = Server::new();
    let admin = server.admin();
    let (a, b) = (TestPath::small("a"), TestPath::small("b"));
    upload(&admin, &about(&a, |_| {}), a.nar.clone()).await.expect(200);
    admin.upload("main", &b).await.expect(200);
    for path in [a, b] {
        assert_eq!(served(&admin, "main", &path).await, path.nar);
    }
}

/// Attic's client sends chunks, without saying how many bytes there will be.
#[tokio::test]
async fn the_body_may_be_chunked() {
    let server = Server::new();
    let admin = server.admin();
    let path = TestPath::small("a");
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = path.nar.chunks(7).map(|piece| Ok(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    upload(&admin, &about(&path, |_| {}), body).await.expect(200);
    assert_eq!(served(&admin, "main", &path).await, path.nar);
}

#[tokio::test]
async fn metadata_may_be_larger_than_a_header() {
    let server = Server::new();
    let admin = server.admin();
    let references: Vec<_> = (0..2000).map(|i| TestPath::of_nar(&format!("reference-{i}"), "").info.path).collect();
    let path = TestPath::small("a").with_references(references);
    admin.upload("main", &path).await.expect(200);
    assert_eq!(narinfo(&admin, "main", &path).await.info.references, path.info.references);
}

#[tokio::test]
async fn a_field_that_is_not_known_is_ignored() {
    let server = Server::new();
    let path = TestPath::small("a");
    let about = about(&path, |about| about["future"] = json!({"x": [1]}));
    upload(&server.admin(), &about, path.nar.clone()).await.expect(200);
}

#[tokio::test]
async fn a_preamble_that_lies_about_its_size_is_refused() {
    let world = World::new().await;
    let path = TestPath::small("a");
    let json = about(&path, |_| {}).to_string().into_bytes();
    let size = json.len();
    let body = [json, path.nar.to_vec()].concat();
    for (claimed, expected) in [
        ("0".to_owned(), "400 RequestError"),
        ((size - 1).to_string(), "400 RequestError"),
        // A NAR begins with a carriage return, which is white space to JSON; then the NAR lacks it.
        ((size + 1).to_string(), "400 InvalidNar"),
        ((size + 8).to_string(), "400 RequestError"),
        ((body.len() + 1).to_string(), "400 IncompleteBody"),
        ("1048576".to_owned(), "400 IncompleteBody"),
        ("1048577".to_owned(), "413 TooLarge"),
        ("18446744073709551615".to_owned(), "413 TooLarge"),
        ("18446744073709551616".to_owned(), "400 RequestError"),
        ("-1".to_owned(), "400 RequestError"),
        ("1e3".to_owned(), "400 RequestError"),
        (format!("0x{size:x}"), "400 RequestError"),
        (String::new(), "400 RequestError"),
    ] {
        let answer = with_preamble(&world.admin, &claimed, body.clone()).await;
        world.refused(&path, &answer, expected, &claimed).await;
    }
    with_preamble(&world.admin, size, body).await.expect(200);
}

#[tokio::test]
async fn the_limit_on_metadata_can_be_set() {
    let server = Server::builder().config("max-nar-info-size = 100\n").start();
    let path = TestPath::small("a");
    assert_eq!(said(&server.admin().upload("main", &path).await), "413 TooLarge");
    let in_header = upload(&server.admin(), &about(&path, |_| {}), path.nar.clone()).await;
    assert_eq!(said(&in_header), "413 TooLarge", "wherever the metadata stand");
}

#[tokio::test]
async fn an_upload_without_metadata_is_refused() {
    let world = World::new().await;
    let path = TestPath::small("a");
    let bare = answer(world.admin.request(Method::PUT, URL).body(path.nar.clone())).await;
    world.refused(&path, &bare, "400 RequestError", "no header").await;
    for json in ["", "{", "null", "[]", "{}", "\"x\""] {
        let request = world.admin.request(Method::PUT, URL).header(NAR_INFO_HEADER, json);
        world.refused(&path, &answer(request.body(path.nar.clone())).await, "400 RequestError", json).await;
    }
    for field in ["cache", "store_path_hash", "store_path", "references", "nar_hash", "nar_size"] {
        let about = about(&path, |about| drop(about.as_object_mut().unwrap().remove(field)));
        let answer = upload(&world.admin, &about, path.nar.clone()).await;
        world.refused(&path, &answer, "400 RequestError", field).await;
    }
}
