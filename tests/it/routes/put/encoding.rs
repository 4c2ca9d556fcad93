//! Bodies that are encoded on the way: `nix copy --to '…?narinfo-compression=zstd'` and the like.

use formats::Compression;
use reqwest::Method;

use super::Put;
use crate::{
    harness::{Answer, Server, answer, compress},
    routes::{said::said, world::World},
};

async fn put_encoded(world: &World, url: &str, encoding: &str, body: Vec<u8>) -> Answer {
    answer(world.admin.request(Method::PUT, url).header("content-encoding", encoding).body(body)).await
}

#[tokio::test]
async fn a_narinfo_may_be_encoded_and_is_served_plain() {
    let world = World::new().await;
    for (encoding, compression) in [
        ("gzip", Compression::Gzip),
        ("x-gzip", Compression::Gzip),
        ("GZIP", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("br", Compression::Brotli),
        ("xz", Compression::Xz),
        ("bzip2", Compression::Bzip2),
        ("identity", Compression::None),
    ] {
        let put = Put::small(encoding).await;
        put.put_nar(&world.admin, "main").await.expect(200);
        let encoded = compress(compression, put.text().as_bytes()).await;
        put_encoded(&world, &put.narinfo_url("main"), encoding, encoded).await.expect(200);
        let served = world.admin.get(&put.narinfo_url("main")).await.expect(200);
        assert_eq!(served.header("content-encoding"), "", "{encoding}");
        world.admin.pull_same("main", &put.path, &world.admin.public_key("main").await).await;
    }
}

#[tokio::test]
async fn a_log_or_listing_may_be_encoded_and_is_served_plain() {
    let world = World::new().await;
    let log = "/main/log/00000000000000000000000000000000-x.drv";
    let listing = format!("/main/{}.ls", world.kept.hash());
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let text = format!("built with {compression}\n");
        for url in [log, &listing] {
            let encoded = compress(compression, text.as_bytes()).await;
            put_encoded(&world, url, compression.name(), encoded).await.expect(200);
            let served = world.admin.get(url).await.expect(200);
            assert_eq!((served.text(), served.header("content-encoding")), (text.clone(), ""));
        }
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_known_is_refused() {
    let world = World::new().await;
    let put = Put::small("a").await;
    put.put_nar(&world.admin, "main").await.expect(200);
    for url in [put.narinfo_url("main"), "/main/log/00000000000000000000000000000000-x.drv".to_owned()] {
        for encoding in ["compress", "deflate", "rot13", "gzip, br", "*"] {
            let answer = put_encoded(&world, &url, encoding, put.text().into_bytes()).await;
            assert_eq!(said(&answer), "415 UnsupportedEncoding", "{encoding}");
        }
        assert_eq!(said(&world.admin.get(&url).await), "404 NoSuchObject");
    }
}

#[tokio::test]
async fn a_body_that_is_not_in_its_encoding_is_refused() {
    let world = World::new().await;
    let put = Put::small("a").await;
    let text = put.text().into_bytes();
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let mut cut = compress(compression, &text).await;
        cut.truncate(cut.len() / 2);
        for body in [text.clone(), cut] {
            let answer = put_encoded(&world, &put.narinfo_url("main"), compression.name(), body).await;
            world.refused(&put.path, &answer, "400 InvalidCompression", compression.name()).await;
        }
    }
}

#[tokio::test]
async fn a_narinfo_does_not_unpack_to_any_size() {
    let world = World::new().await;
    let put = Put::small("a").await;
    let bomb = vec![b'\n'; 8 << 20];
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let encoded = compress(compression, &bomb).await;
        let answer = put_encoded(&world, &put.narinfo_url("main"), compression.name(), encoded).await;
        world.refused(&put.path, &answer, "413 TooLarge", compression.name()).await;
    }
}

#[tokio::test]
async fn a_document_has_a_limit_of_its_own() {
    let config = "[flywheel.limits]\nmax-document-size = \"1 KiB\"\n";
    let world = World::of(Server::builder().config(config).start()).await;
    let log = "/main/log/00000000000000000000000000000000-x.drv";
    assert_eq!(said(&world.admin.put(log, vec![b'x'; 1025]).await), "413 TooLarge");
    let bomb = compress(Compression::Gzip, &[b'x'; 100_000]).await;
    assert_eq!(said(&put_encoded(&world, log, "gzip", bomb).await), "413 TooLarge");
    assert_eq!(said(&world.admin.get(log).await), "404 NoSuchObject");
    world.untouched("too large").await;
    world.admin.put(log, vec![b'x'; 1024]).await.expect(200);
}
