//! Files that are served as they were put.

use super::super::said::said;
use crate::{
    harness::{Seed, Server},
    routes::world::create_cache,
};

const HASH: &str = "0c5b8vw40dy178xlpddw65q9gf1h2186";

/// One of each kind: its URL and its content type.
fn kinds() -> [(String, &'static str); 4] {
    [
        (format!("log/{HASH}-x-1.0.drv"), "text/plain; charset=utf-8"),
        (format!("realisations/sha256:{}!out.doi", "0a".repeat(32)), "application/json"),
        (format!("build-trace-v2/{HASH}-x-1.0.drv/out.doi"), "application/json"),
        (format!("debuginfo/{}.debug", "0a".repeat(20)), "application/json"),
    ]
}

#[tokio::test]
async fn a_document_is_served_as_it_was_put() {
    let server = Server::new();
    let (admin, anybody) = (server.admin(), server.http());
    let long = Seed::new(9, "document").bytes(3_000_000);
    for (file, content_type) in kinds() {
        let url = format!("/main/{file}");
        assert_eq!(said(&anybody.get(&url).await), "404 NoSuchObject");
        for body in [&b"{}"[..], b"", b"\xff\0not text", &long, b"again"] {
            let put = admin.put(&url, body.to_vec()).await.expect(200);
            assert!(put.body.is_empty());
            let get = anybody.get(&url).await.expect(200);
            assert_eq!(get.body, body, "{file}");
            assert_eq!(get.header("content-type"), content_type);
            assert_eq!(get.header("content-length"), body.len().to_string());
            let head = anybody.head(&url).await.expect(200);
            assert_eq!((head.header("content-length"), head.body.len()), (body.len().to_string().as_str(), 0));
        }
    }
}

#[tokio::test]
async fn a_document_is_in_the_cache_that_it_was_put_into() {
    let server = Server::new();
    create_cache(&server.admin(), "other", true).await;
    create_cache(&server.admin(), "private", false).await;
    for (file, _) in kinds() {
        server.admin().put(&format!("/private/{file}"), "secret").await.expect(200);
        assert_eq!(said(&server.admin().get(&format!("/other/{file}")).await), "404 NoSuchObject");
        assert_eq!(said(&server.http().get(&format!("/private/{file}")).await), "401 Unauthorized");
        assert_eq!(server.admin().get(&format!("/private/{file}")).await.expect(200).text(), "secret");
    }
}

#[tokio::test]
async fn debuginfo_is_found_with_and_without_its_suffix() {
    let server = Server::new();
    let id = "0123456789abcdef0123456789abcdef01234567";
    let link = r#"{"archive":"../nar/x.nar.xz","member":"lib/debug/x.debug"}"#;
    server.admin().put(&format!("/main/debuginfo/{id}.debug"), link).await.expect(200);
    for name in [format!("{id}.debug"), id.to_owned()] {
        assert_eq!(server.http().get(&format!("/main/debuginfo/{name}")).await.expect(200).text(), link);
    }
    for bad in ["x.debug", &id[1..], "%2e%2e"] {
        assert_eq!(said(&server.http().get(&format!("/main/debuginfo/{bad}")).await), "404 NotFound", "{bad}");
    }
}
