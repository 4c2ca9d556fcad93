//! `GET /{cache}/{hash}.narinfo`

use formats::{SecretKey, StoreDir};
use reqwest::{Method, header};

use super::super::{said::said, world::narinfo};
use crate::harness::{Server, TestPath, answer};

#[tokio::test]
async fn it_is_what_nix_writes() {
    let server = Server::new();
    let admin = server.admin();
    let mut path = TestPath::small("a");
    let reference = TestPath::small("r").info.path;
    path = path.with_references([reference.clone()]);
    path.info.deriver = Some(format!("{reference}.drv").parse().unwrap());
    admin.upload("main", &path).await.expect(200);
    let text = server.http().get(&format!("/main/{}.narinfo", path.hash())).await.expect(200).text();
    let info = narinfo(&admin, "main", &path).await;
    let file = admin.get(&format!("/main/{}", info.url)).await.expect(200);
    let file_hash = formats::FileHash::digest_of(&file.body);
    let signature = admin_signature(&text);
    assert_eq!(
        text,
        format!(
            "StorePath: /nix/store/{path}\nURL: nar/{hash}.nar.zst\nCompression: zstd\nFileHash: sha256:{hash}\n\
             FileSize: {size}\nNarHash: {nar_hash}\nNarSize: {nar_size}\nReferences: {reference}\nDeriver: {reference}.drv\n\
             Sig: main:{signature}\n",
            path = path.info.path,
            hash = file_hash.nix32(),
            size = file.body.len(),
            nar_hash = path.info.nar_hash,
            nar_size = path.nar.len(),
        )
    );
}

fn admin_signature(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("Sig: main:"));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

/// Without the space, every Nix takes the next line for the references.
#[tokio::test]
async fn no_references_are_a_space() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let text = server.http().get(&format!("/main/{}.narinfo", path.hash())).await.text();
    assert!(text.contains("\nReferences: \n"), "{text}");
    assert!(!text.contains("Deriver") && !text.contains("CA:"), "what is not known has no line: {text}");
}

#[tokio::test]
async fn it_can_be_asked_whether_it_changed() {
    let server = Server::new();
    let path = TestPath::small("a");
    let admin = server.admin();
    admin.upload("main", &path).await.expect(200);
    let url = format!("/main/{}.narinfo", path.hash());
    let first = server.http().get(&url).await.expect(200);
    let tag = first.header("etag").to_owned();
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "a strong tag: {tag:?}");
    assert_eq!(first.header("content-type"), "text/x-nix-narinfo");
    assert_eq!(first.header("cache-control"), "public, max-age=3600");
    assert_eq!(first.header("x-attic-cache-visibility"), "public");

    let ask = async |tag: &str| answer(server.http().request(Method::GET, &url).header("if-none-match", tag)).await;
    for unchanged in [tag.as_str(), &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
        let answer = ask(unchanged).await.expect(304);
        assert_eq!((answer.header("etag"), answer.body.len()), (tag.as_str(), 0));
    }
    ask("\"x\"").await.expect(200);

    // Another signature is another text.
    let mut signed = path.clone();
    signed.info.sign(&StoreDir::default(), &SecretKey::generate("k".parse().unwrap(), [1; 32]));
    admin.upload("main", &signed).await.expect(200);
    assert_ne!(ask(&tag).await.expect(200).header("etag"), tag);
}

#[tokio::test]
async fn head_says_what_get_would() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let url = format!("/main/{}.narinfo", path.hash());
    let (head, get) = (server.http().head(&url).await, server.http().get(&url).await);
    assert_eq!(head.body.len(), 0);
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    let mut headers = [head.headers, get.headers];
    headers.iter_mut().for_each(|headers| drop(headers.remove(header::DATE)));
    assert_eq!(headers[0], headers[1]);
    let absent = server.http().head(&format!("/main/{}.narinfo", TestPath::small("b").hash())).await;
    assert_eq!((absent.status.as_u16(), absent.body.len()), (404, 0));
}

/// The path that is not there is the hot one; and it may be there a moment later.
#[tokio::test]
async fn absent_is_404_and_not_kept() {
    let server = Server::new();
    let absent = server.http().get(&format!("/main/{}.narinfo", TestPath::small("a").hash())).await;
    assert_eq!(said(&absent), "404 NoSuchObject");
    assert_eq!(absent.header("cache-control"), "no-store");
    assert_eq!(absent.header("etag"), "");
}

#[tokio::test]
async fn unexpected_credentials_on_a_public_cache_are_ignored() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let url = format!("/main/{}.narinfo", path.hash());
    for credentials in ["bearer garbage", "Basic Zm9vOmJhcg==", "Digest x", "", "bearer"] {
        let request = server.http().request(Method::GET, &url).header("authorization", credentials);
        answer(request).await.expect(200);
    }
}

/// 2.14 to 2.33 say so of every request; what the narinfo is served as must be what was asked for.
#[tokio::test]
async fn it_is_served_plain_whatever_is_accepted() {
    let server = Server::new();
    let path = TestPath::small("a");
    server.admin().upload("main", &path).await.expect(200);
    let info = narinfo(&server.http(), "main", &path).await;
    for file in [format!("{}.narinfo", path.hash()), info.url, format!("{}.ls", path.hash())] {
        let request = server.http().request(Method::GET, &format!("/main/{file}"));
        let told = answer(request.header("accept-encoding", "zstd, br, gzip, deflate, bzip2, xz")).await.expect(200);
        assert_eq!(told.header("content-encoding"), "", "{file}");
    }
}
