//! URLs that no client should send.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use super::world::World;
use crate::harness::{Http, Server, TestPath};

/// Sends a request line as it stands, and tells `404 NotFound` and the like. An answer of the HTTP library itself has no body.
fn raw(http: &Http, method: &str, url: &str, body: &str) -> String {
    let length = body.len();
    let request =
        format!("{method} {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    let answer = String::from_utf8(http.raw(request.as_bytes())).unwrap();
    let status = answer.get(9..12).unwrap_or_else(|| panic!("no answer to {method} {url:?}"));
    let code = answer.split_once(r#""error":""#).and_then(|(_, rest)| rest.split('"').next());
    [Some(status), code].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn there_is_no_way_out_of_a_cache() {
    let world = World::new().await;
    let http = world.server.http();
    let narinfo = format!("{}.narinfo", world.kept.hash());
    for url in [
        "/main/../../../etc/passwd".to_owned(),
        "/main/..%2f..%2fetc%2fpasswd".to_owned(),
        "/main/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/main/nar/../../token-secret".to_owned(),
        "/main/nar/..%2f..%2ftoken-secret".to_owned(),
        "/main/nar/%2e%2e%2f%2e%2e%2ftoken-secret.nar".to_owned(),
        "/main/nar/..%5c..%5cx.nar".to_owned(),
        "/main/log/../../token-secret".to_owned(),
        "/main/log/..%2f..%2ftoken-secret".to_owned(),
        "/main/realisations/..%2fx.doi".to_owned(),
        "/main/build-trace-v2/../x.doi".to_owned(),
        "/main/build-trace-v2/..%2f..%2fx/out.doi".to_owned(),
        "/main/debuginfo/../../x".to_owned(),
        "/../../etc/passwd".to_owned(),
        "/..".to_owned(),
        "/%2e%2e/nix-cache-info".to_owned(),
        "/%2fetc%2fpasswd".to_owned(),
        "//etc/passwd".to_owned(),
        "//main/nix-cache-info".to_owned(),
        "/main//nix-cache-info".to_owned(),
        "/main/./nix-cache-info".to_owned(),
        format!("/main/../main/{narinfo}"),
        format!("/main/{narinfo}/"),
        format!("/main%2f{narinfo}"),
        format!("/main/nar/../{narinfo}"),
    ] {
        for method in ["GET", "PUT"] {
            assert_eq!(raw(&http, method, &url, "x"), "404 NotFound", "{method} {url}");
        }
    }
    world.untouched("paths").await;
}

#[tokio::test]
async fn malformed_escapes_name_nothing() {
    let world = World::new().await;
    let http = world.server.http();
    let hash = world.kept.hash();
    for part in ["%", "%0", "%zz", "%g0", "%00", "%0a", "%0d%0aX-Evil:1", "%ff", "%c0%ae", "%u0041", "%25%30%30"] {
        for url in [
            format!("/{part}"),
            format!("/{part}/nix-cache-info"),
            format!("/main/{part}"),
            format!("/main/{part}.narinfo"),
            format!("/main/{hash}{part}.narinfo"),
            format!("/main/{hash}.narinfo{part}"),
            format!("/main/nar/{part}"),
            format!("/main/nar/{part}.nar"),
            format!("/main/log/{part}"),
            format!("/main/log/{hash}-{part}.drv"),
            format!("/main/realisations/{part}.doi"),
            format!("/main/build-trace-v2/{hash}-x.drv/{part}.doi"),
            format!("/main/debuginfo/{part}"),
        ] {
            for method in ["GET", "PUT"] {
                assert_eq!(raw(&http, method, &url, "x"), "404 NotFound", "{method} {url}");
            }
        }
    }
    for part in ["%", "%0", "%zz", "%00", "%0a", "%ff", "..%2f", "a%2fb"] {
        let said = raw(&http, "GET", &format!("/_api/v1/cache-config/{part}"), "");
        assert_eq!(said, "400 RequestError", "{part}");
    }
    world.untouched("escapes").await;
}

#[tokio::test]
async fn malformed_hashes_name_nothing() {
    let server = Server::new();
    let hash = TestPath::small("a").hash();
    for bad in [
        "",
        "x",
        &hash[1..],
        &format!("{hash}0"),
        &hash.to_uppercase(),
        &"e".repeat(32),
        &"-".repeat(32),
        &"0".repeat(31),
        &"ä".repeat(16),
        &"0".repeat(8000),
    ] {
        for file in [format!("{bad}.narinfo"), format!("{bad}.ls")] {
            assert_eq!(raw(&server.http(), "GET", &format!("/main/{file}"), ""), "404 NotFound", "{file}");
        }
    }
    for file in ["x.narinf", "x", "narinfo", ".narinfo", "nix-cache-info.txt", "nix-cache-info/", "NIX-CACHE-INFO"] {
        assert_eq!(raw(&server.http(), "GET", &format!("/main/{file}"), ""), "404 NotFound", "{file}");
    }
}

#[tokio::test]
async fn a_path_may_be_too_long() {
    let server = Server::new();
    let long = "a".repeat(9000);
    for url in [
        format!("/{long}"),
        format!("/main/{long}"),
        format!("/main/nar/{long}.nar"),
        format!("/main/{}", "a/".repeat(4000)),
    ] {
        assert_eq!(raw(&server.http(), "GET", &url, ""), "404 NotFound");
    }
    assert_eq!(raw(&server.http(), "GET", &format!("/main/{}", "a".repeat(70_000)), ""), "414");
    assert_eq!(raw(&server.http(), "GET", "/livez", ""), "200");
}

/// What is no HTTP at all is refused by whoever reads it, and the next one is served.
#[tokio::test]
async fn garbage_is_no_request() {
    let server = Server::new();
    for garbage in [
        &b""[..],
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /main/nar/x.nar HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\n",
    ] {
        let mut connection = TcpStream::connect(server.address()).unwrap();
        connection.write_all(garbage).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(raw(&server.http(), "GET", "/livez", ""), "200");
}
