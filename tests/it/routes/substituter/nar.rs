//! `GET /{cache}/nar/…`

use reqwest::{Method, header};

use super::super::{
    said::said,
    world::{create_cache, narinfo},
};
use crate::harness::{Answer, Http, Node, Seed, Server, TestPath, answer, decompress};

/// A server with one NAR of several chunks, its URL, and the whole file.
async fn served() -> (Server, TestPath, String, Answer) {
    let server = Server::new();
    let path = TestPath::new("p", &Node::noise(&mut Seed::new(7, "nar"), 700_000));
    server.admin().upload("main", &path).await.expect(200);
    let url = format!("/main/{}", narinfo(&server.http(), "main", &path).await.url);
    let whole = server.http().get(&url).await.expect(200);
    (server, path, url, whole)
}

async fn range(http: &Http, url: &str, range: &str) -> Answer {
    answer(http.request(Method::GET, url).header("range", range)).await
}

#[tokio::test]
async fn it_is_one_immutable_file() {
    let (server, path, url, whole) = served().await;
    let told = narinfo(&server.http(), "main", &path).await;
    assert_eq!(told.file_size, Some(whole.body.len() as u64));
    assert_eq!(told.file_hash, Some(formats::FileHash::digest_of(&whole.body)));
    assert_eq!(decompress(told.compression, &whole.body).await.unwrap(), path.nar);
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(whole.header("etag"), format!("\"{}\"", told.file_hash.unwrap().nix32()));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(whole.header("content-type"), "application/x-nix-nar");
    assert_eq!(server.http().get(&url).await.body, whole.body);
}

#[tokio::test]
async fn head_says_what_get_would() {
    let (server, _, url, whole) = served().await;
    let head = server.http().head(&url).await.expect(200);
    assert!(head.body.is_empty());
    let mut headers = [head.headers, whole.headers];
    headers.iter_mut().for_each(|headers| drop(headers.remove(header::DATE)));
    assert_eq!(headers[0], headers[1]);
}

/// Nix resumes with a bare `Range: bytes=N-`, and gives up if the 206 does not say again that it may.
#[tokio::test]
async fn a_part_is_that_part_of_the_same_bytes() {
    let (server, _, url, whole) = served().await;
    let size = whole.body.len();
    for (asked, expected) in [
        ("bytes=0-".to_owned(), 0..size),
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1-".to_owned(), 1..size),
        ("bytes=1000-1999".to_owned(), 1000..2000),
        ("bytes=300000-500000".to_owned(), 300_000..500_001),
        (format!("bytes={}-", size - 1), size - 1..size),
        (format!("bytes=5-{}", u64::MAX), 5..size),
        ("bytes=-1".to_owned(), size - 1..size),
        ("bytes=-99999999".to_owned(), 0..size),
    ] {
        let part = range(&server.http(), &url, &asked).await.expect(206);
        assert_eq!(part.body, whole.body.slice(expected.clone()), "{asked}");
        let told = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
        assert_eq!(part.header("content-range"), told, "{asked}");
        assert_eq!(part.header("content-length"), expected.len().to_string(), "{asked}");
        for same in ["accept-ranges", "etag", "cache-control", "content-type"] {
            assert_eq!(part.header(same), whole.header(same), "{asked} {same}");
        }
    }
}

#[tokio::test]
async fn a_part_that_is_not_there_is_416() {
    let (server, _, url, whole) = served().await;
    let size = whole.body.len();
    for asked in [format!("bytes={size}-"), "bytes=99999999999999999999-".to_owned(), "bytes=-0".to_owned()] {
        let refused = range(&server.http(), &url, &asked).await;
        assert_eq!(said(&refused), "416 RangeNotSatisfiable", "{asked}");
        assert_eq!(refused.header("content-range"), format!("bytes */{size}"), "{asked}");
    }
}

#[tokio::test]
async fn what_is_no_range_is_ignored() {
    let (server, _, url, whole) = served().await;
    for asked in ["bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "chunks=0-1", "bytes=0-1,5-6", "", "bytes=+1-2"] {
        assert_eq!(range(&server.http(), &url, asked).await.expect(200).body, whole.body, "{asked}");
    }
    let head = answer(server.http().request(Method::HEAD, &url).header("range", "bytes=5-")).await.expect(200);
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
}

#[tokio::test]
async fn conditions_are_heeded() {
    let (server, _, url, whole) = served().await;
    let tag = whole.header("etag");
    let ask = async |name: &str, tag: &str| {
        let request = server.http().request(Method::GET, &url).header("range", "bytes=5-9").header(name, tag);
        answer(request).await
    };
    assert_eq!(ask("if-range", tag).await.expect(206).body, whole.body.slice(5..10));
    assert_eq!(ask("if-range", "\"x\"").await.expect(200).body, whole.body);
    let unchanged = ask("if-none-match", tag).await.expect(304);
    assert_eq!((unchanged.body.len(), unchanged.header("etag")), (0, tag));
    ask("if-none-match", "\"x\"").await.expect(206);
}

/// Clients of Attic remember narinfos with its URLs for a month.
#[tokio::test]
async fn attics_name_is_the_same_nar() {
    let (server, path, _, whole) = served().await;
    let told = narinfo(&server.http(), "main", &path).await;
    let by_path = server.http().get(&format!("/main/nar/{}.nar", path.hash())).await.expect(200);
    assert_eq!(by_path.body, whole.body);
    assert_eq!(by_path.header("etag"), format!("\"{}\"", told.file_hash.unwrap().nix32()));
}

#[tokio::test]
async fn absent_is_404() {
    let (server, _, url, _) = served().await;
    create_cache(&server.admin(), "other", true).await;
    let other = url.replace("/main/", "/other/");
    let hash = "0".repeat(52);
    for absent in [other.as_str(), &format!("/main/nar/{hash}.nar.zst"), &format!("/main/nar/{hash}.nar.xz")] {
        for http in [server.http(), server.admin()] {
            assert_eq!(said(&http.get(absent).await), "404 NoSuchObject", "{absent}");
            let head = http.head(absent).await;
            assert_eq!((head.status.as_u16(), head.body.len()), (404, 0), "{absent}");
        }
    }
    // The same hash, in a compression that it is not in.
    assert_eq!(said(&server.http().get(&url.replace(".zst", ".xz")).await), "404 NoSuchObject");
}
