//! Bodies that are not the NAR that they are said to be.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use formats::{NarHash, nar::Writer};
use serde_json::json;

use super::{about, upload};
use crate::{
    harness::{Server, TestPath},
    routes::world::World,
};

#[tokio::test]
async fn a_nar_that_stops_early_is_refused() {
    let world = World::new().await;
    let path = TestPath::small("a");
    for cut in [0, 1, 8, 24, 100, path.nar.len() / 2, path.nar.len() - 8, path.nar.len() - 1] {
        let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.slice(..cut)).await;
        world.refused(&path, &answer, "400 InvalidNar", &format!("{cut} bytes")).await;
    }
}

/// The connection says that there is more to come, and then there is not.
#[tokio::test]
async fn a_connection_that_breaks_leaves_nothing() {
    let world = World::new().await;
    let path = TestPath::small("a");
    let request = |length: usize, sent: &[u8]| {
        let head = format!(
            "PUT /_api/v1/upload-path HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {}\r\nx-attic-nar-info: {}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n",
            world.server.admin_token(),
            about(&path, |_| {}),
        );
        [head.as_bytes(), sent].concat()
    };
    let half = &path.nar[..path.nar.len() / 2];
    let mut connection = TcpStream::connect(world.server.address()).unwrap();
    connection.write_all(&request(path.nar.len(), half)).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut told = String::new();
    connection.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains(r#""error":"IncompleteBody""#), "{told}");
    world.untouched("half a NAR").await;

    // The whole NAR is there, but the request is not over.
    let mut connection = TcpStream::connect(world.server.address()).unwrap();
    connection.write_all(&request(path.nar.len() + 1, &path.nar)).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut told = String::new();
    connection.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains(r#""error":"IncompleteBody""#), "{told}");
    world.untouched("one byte too few").await;

    // Whoever hangs up does not hear an answer; the next upload of the same NAR is not held up by it.
    drop(TcpStream::connect(world.server.address()).unwrap().write_all(&request(path.nar.len(), half)));
    world.admin.upload("main", &path).await.expect(200);
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let config = "[flywheel.limits]\nbody-idle-timeout = \"100ms\"\n";
    let world = World::of(Server::builder().config(config).start()).await;
    let path = TestPath::small("a");
    let head = format!(
        "PUT /_api/v1/upload-path HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {}\r\nx-attic-nar-info: {}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\nnix",
        world.server.admin_token(),
        about(&path, |_| {}),
        path.nar.len(),
    );
    let told = String::from_utf8(world.admin.raw(head.as_bytes())).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 ") && told.contains(r#""error":"BodyTimeout""#), "{told}");
    world.untouched("stalled").await;
}

#[tokio::test]
async fn a_nar_has_the_hash_that_is_said() {
    let world = World::new().await;
    let path = TestPath::small("a");
    let other = NarHash::digest_of(b"other").to_string();
    let answer = upload(&world.admin, &about(&path, |about| about["nar_hash"] = json!(other)), path.nar.clone()).await;
    world.refused(&path, &answer, "400 NarHashMismatch", "another hash").await;

    let mut changed = path.nar.to_vec();
    let text = changed.windows(3).position(|window| window == b"let").unwrap();
    changed[text] = b'L';
    let answer = upload(&world.admin, &about(&path, |_| {}), changed).await;
    world.refused(&path, &answer, "400 NarHashMismatch", "another byte").await;
}

#[tokio::test]
async fn a_nar_has_the_size_that_is_said() {
    let world = World::new().await;
    let path = TestPath::small("a");
    let size = path.nar.len() as u64;
    for claimed in [1, 8, size - 8, size - 1, size + 1, size + 8, 1 << 40, u64::MAX] {
        let answer =
            upload(&world.admin, &about(&path, |about| about["nar_size"] = json!(claimed)), path.nar.clone()).await;
        world.refused(&path, &answer, "400 NarSizeMismatch", &format!("{claimed} of {size}")).await;
    }
}

#[tokio::test]
async fn nothing_follows_a_nar() {
    let world = World::new().await;
    let path = TestPath::small("a");
    for more in [&b"\0"[..], b"\0\0\0\0\0\0\0\0", b"#!/bin/sh", &path.nar] {
        let longer = [&path.nar[..], more].concat();
        // Attic signed this: what comes first has the right hash and size.
        let answer = upload(&world.admin, &about(&path, |_| {}), longer.clone()).await;
        world.refused(&path, &answer, "400 NarSizeMismatch", "a longer body").await;
        let whole = TestPath::of_nar("whole", longer);
        let answer = upload(&world.admin, &about(&whole, |_| {}), whole.nar.clone()).await;
        world.refused(&whole, &answer, "400 InvalidNar", "a longer body that is announced").await;
    }
    // More than any buffer holds.
    let long = [&path.nar[..], &vec![0; 4 << 20]].concat();
    let answer = upload(&world.admin, &about(&path, |_| {}), long).await;
    world.refused(&path, &answer, "400 NarSizeMismatch", "4 MiB more").await;
}

#[tokio::test]
async fn a_hash_does_not_make_a_nar() {
    let world = World::new().await;
    let nar = TestPath::small("a").nar;
    let flipped = |at: usize| {
        let mut nar = nar.to_vec();
        nar[at] ^= 1;
        nar
    };
    for (name, bytes) in [
        ("script", b"#!/bin/sh\nexit 0\n".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("json", b"{}".to_vec()),
        ("zstd", zstd::encode_all(&nar[..], 3).unwrap()),
        ("magic", b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0".to_vec()),
        ("magic-length", flipped(0)),
        ("magic-text", flipped(8)),
        ("padding", flipped(23)),
        ("parenthesis", flipped(32)),
    ] {
        let path = TestPath::of_nar(name, bytes);
        let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.clone()).await;
        world.refused(&path, &answer, "400 InvalidNar", name).await;
    }
}

/// A directory with files of these names, in this order.
fn directory(names: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.directory_begin();
    for name in names {
        writer.entry_begin(name);
        writer.regular_begin(false, 1);
        writer.contents(b"x");
        writer.regular_end(1);
        writer.entry_end();
    }
    writer.directory_end();
    writer.take()
}

#[tokio::test]
async fn names_in_a_nar_are_names_of_files_in_order() {
    let world = World::new().await;
    let long = [b'x'; 256];
    let cases: [&[&[u8]]; 12] = [
        &[b".."],
        &[b"."],
        &[b""],
        &[b"a/b"],
        &[b"/etc/passwd"],
        &[b"../x"],
        &[b"a\0b"],
        &[b"a", b"a"],
        &[b"b", b"a"],
        &[b"a", b"B"],
        &[b"a", b"c", b"b"],
        &[&long],
    ];
    for names in cases {
        let path = TestPath::of_nar("names", directory(names));
        let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.clone()).await;
        world.refused(&path, &answer, "400 InvalidNar", &format!("{names:?}")).await;
    }
    let good = TestPath::of_nar("names", directory(&[b"-", b"...", b"A", b"a", b"a.", &long[..255]]));
    upload(&world.admin, &about(&good, |_| {}), good.nar.clone()).await.expect(200);
}

#[tokio::test]
async fn a_nar_cannot_make_the_server_allocate_or_recurse() {
    let world = World::new().await;
    let mut deep = Writer::new();
    deep.begin();
    for _ in 0..10_000 {
        deep.directory_begin();
        deep.entry_begin(b"a");
    }
    let mut huge_file = Writer::new();
    huge_file.begin();
    huge_file.regular_begin(false, u64::MAX - 7);
    let mut huge_name = directory(&[b"a"]);
    let name = huge_name.windows(9).rposition(|window| window == b"\x01\0\0\0\0\0\0\0a").unwrap();
    huge_name[name..name + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut target = Writer::new();
    target.begin();
    target.symlink(&[b'x'; 5000]);
    for (name, nar) in
        [("deep", deep.take()), ("huge-file", huge_file.take()), ("huge-name", huge_name), ("target", target.take())]
    {
        let path = TestPath::of_nar(name, nar);
        let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.clone()).await;
        world.refused(&path, &answer, "400 InvalidNar", name).await;
    }
}

#[tokio::test]
async fn limits_on_size_can_be_set() {
    let config = "[flywheel.limits]\nmax-nar-size = \"64 KiB\"\n";
    let world = World::of(Server::builder().config(config).start()).await;
    let path = TestPath::new("large", &crate::harness::Node::file(vec![b'x'; 100_000]));
    let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.clone()).await;
    world.refused(&path, &answer, "413 TooLarge", "NAR").await;

    let config = "[flywheel.limits]\nmax-upload-size = \"64 KiB\"\n";
    let world = World::of(Server::builder().config(config).start()).await;
    let answer = upload(&world.admin, &about(&path, |_| {}), path.nar.clone()).await;
    world.refused(&path, &answer, "413 TooLarge", "body").await;
}
