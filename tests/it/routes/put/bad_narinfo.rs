//! narinfos that must not be signed.

use formats::{FileHash, NarHash};

use super::Put;
use crate::{harness::TestPath, routes::world::World};

/// A NAR is there, and its narinfo is refused.
async fn refused(expected: &str, cases: impl FnOnce(&Put) -> Vec<(&'static str, String)>) {
    let put = Put::small("a").await;
    let server = crate::harness::Server::new();
    put.put_nar(&server.admin(), "main").await.expect(200);
    let world = World::of(server).await;
    for (case, text) in cases(&put) {
        let answer = world.admin.put(&put.narinfo_url("main"), text).await;
        world.refused(&put.path, &answer, expected, case).await;
    }
    put.put_narinfo(&world.admin, "main").await.expect(200);
}

/// The text with a line exchanged.
fn with(put: &Put, key: &str, line: &str) -> String {
    let text = put.text();
    assert!(text.lines().any(|line| line.starts_with(&format!("{key}: "))), "{text}");
    let exchange = |old: &str| if old.starts_with(&format!("{key}: ")) { line.to_owned() } else { format!("{old}\n") };
    text.lines().map(exchange).collect()
}

#[tokio::test]
async fn the_file_is_the_one_that_was_put() {
    refused("400 FileHashMismatch", |put| {
        let size = put.file.len();
        vec![
            ("hash", with(put, "FileHash", &format!("FileHash: {}\n", FileHash::digest_of(b"x")))),
            ("size", with(put, "FileSize", &format!("FileSize: {}\n", size + 1))),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_nar_has_the_hash_that_is_said() {
    refused("400 NarHashMismatch", |put| {
        vec![("hash", with(put, "NarHash", &format!("NarHash: {}\n", NarHash::digest_of(b"x"))))]
    })
    .await;
}

#[tokio::test]
async fn the_nar_has_the_size_that_is_said() {
    refused("400 NarSizeMismatch", |put| {
        let size = put.path.nar.len();
        vec![
            ("more", with(put, "NarSize", &format!("NarSize: {}\n", size + 8))),
            ("less", with(put, "NarSize", "NarSize: 1\n")),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_nar_is_there() {
    refused("409 NarNotUploaded", |put| {
        let other = put.narinfo.url.replace("nar/", "nar/0");
        vec![
            ("another name", with(put, "URL", &format!("URL: {other}\n"))),
            ("elsewhere", with(put, "URL", "URL: https://evil.example.org/x.nar\n")),
            ("outside", with(put, "URL", "URL: ../../../etc/passwd\n")),
            ("nothing", with(put, "URL", "URL: nar/\n")),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_text_is_a_narinfo_of_this_path() {
    refused("400 InvalidNarInfo", |put| {
        let text = put.text();
        let (base, hash) = (put.path.info.path.to_string(), put.path.hash());
        let other = TestPath::small("b").info.path;
        let line = |key, line: String| with(put, key, &line);
        vec![
            ("empty", String::new()),
            ("html", "<html><body>404</body></html>\n".to_owned()),
            ("no newline", text.trim_end().to_owned()),
            ("blank line", format!("{text}\n")),
            ("carriage returns", text.replace('\n', "\r\n")),
            ("NUL", text.replace(&base, &format!("{base}\0"))),
            ("two spaces", text.replace("NarSize: ", "NarSize:  ")),
            ("no StorePath", line("StorePath", String::new())),
            ("no URL", line("URL", String::new())),
            ("no NarHash", line("NarHash", String::new())),
            ("no NarSize", line("NarSize", String::new())),
            ("twice", format!("{text}StorePath: /nix/store/{base}\n")),
            ("empty NAR", line("NarSize", "NarSize: 0\n".to_owned())),
            ("negative size", line("NarSize", "NarSize: -1\n".to_owned())),
            ("a word for a size", line("NarSize", "NarSize: big\n".to_owned())),
            ("another path", line("StorePath", format!("StorePath: /nix/store/{other}\n"))),
            ("another store", line("StorePath", format!("StorePath: /gnu/store/{base}\n"))),
            ("no store", line("StorePath", "StorePath: /etc/passwd\n".to_owned())),
            ("root", line("StorePath", "StorePath: /\n".to_owned())),
            ("up", line("StorePath", format!("StorePath: /nix/store/../{base}\n"))),
            ("below", line("StorePath", format!("StorePath: /nix/store/{base}/bin\n"))),
            ("no name", line("StorePath", format!("StorePath: /nix/store/{hash}\n"))),
            ("full references", line("References", format!("References: /nix/store/{other}\n"))),
            ("no references", line("References", "References: x\n".to_owned())),
            ("full deriver", format!("{text}Deriver: /etc/passwd\n")),
            ("empty deriver", format!("{text}Deriver: \n")),
            ("no signature", format!("{text}Sig: x\n")),
            ("short signature", format!("{text}Sig: key-1:AAAA\n")),
            ("no content address", format!("{text}CA: fixed:x\n")),
            ("unknown compression", line("Compression", "Compression: rar\n".to_owned())),
            ("not SHA-256", line("NarHash", format!("NarHash: md5:{}\n", "0".repeat(32)))),
        ]
    })
    .await;
}

#[tokio::test]
async fn a_narinfo_has_no_ten_megabytes() {
    let world = World::new().await;
    let put = Put::small("a").await;
    let line = format!("References: {}\n", format!("{} ", TestPath::small("b").info.path).repeat(300_000).trim_end());
    let huge = with(&put, "References", &line);
    assert!(huge.len() > 8 << 20);
    let answer = world.admin.put(&put.narinfo_url("main"), huge).await;
    world.refused(&put.path, &answer, "413 TooLarge", "many references").await;
    let answer = world.admin.put(&put.narinfo_url("main"), vec![b'\n'; 10 << 20]).await;
    world.refused(&put.path, &answer, "413 TooLarge", "many lines").await;
}

#[tokio::test]
async fn a_narinfo_is_text() {
    let world = World::new().await;
    let put = Put::small("a").await;
    let answer = world.admin.put(&put.narinfo_url("main"), vec![0xff; 100]).await;
    world.refused(&put.path, &answer, "400 InvalidNarInfo", "not UTF-8").await;
}

#[tokio::test]
async fn references_are_served_sorted_in_whatever_order_they_came() {
    let world = World::new().await;
    let put = Put::new(
        TestPath::small("a").with_references([TestPath::small("b").info.path, TestPath::small("c").info.path]),
        formats::Compression::Xz,
    )
    .await;
    put.put_nar(&world.admin, "main").await.expect(200);
    let sorted: Vec<String> = put.path.info.references.iter().map(ToString::to_string).collect();
    let turned = format!("References: {} {}\n", sorted[1], sorted[0]);
    world.admin.put(&put.narinfo_url("main"), with(&put, "References", &turned)).await.expect(200);
    let key = world.admin.public_key("main").await;
    world.admin.pull_same("main", &put.path, &key).await;
    let served = world.admin.get(&put.narinfo_url("main")).await.text();
    assert!(served.contains(&format!("References: {}\n", sorted.join(" "))), "{served}");
}
