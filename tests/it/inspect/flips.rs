//! A hundred flipped bits: every one is found, none is served, all are healed.

use std::collections::HashMap;

use formats::{Compression, NarHash, NarInfo, StoreDir};
use reqwest::Method;
use serde_json::json;

use super::store::{Pack, packs, records};
use crate::harness::{Fsck, Http, Node, Seed, Server, TestPath, decompress, try_answer};

const FLIPS: usize = 100;

/// Where a bit was flipped.
#[derive(Debug)]
struct Flip {
    pack: String,
    /// The frame that was hit; none if it was what describes the pack.
    frame: Option<u64>,
    has_rows: bool,
}

/// Flips a bit anywhere, or in what describes a pack.
fn flip(seed: &mut Seed, packs: &[Pack], only_description: bool, has_rows: bool) -> Flip {
    let pack = &packs[seed.in_range(0..packs.len())];
    let from = if only_description { pack.trailer } else { 0 };
    let span = usize::try_from(pack.size - from).unwrap();
    let at = from + seed.in_range(0..span) as u64;
    pack.flip(at, u8::try_from(seed.in_range(0..8)).unwrap());
    let frame = pack.frames.iter().find(|(start, end)| (*start..*end).contains(&at)).map(|(start, _)| *start);
    Flip { pack: pack.name(), frame, has_rows }
}

impl Flip {
    /// Whether the report tells of it.
    fn is_in(&self, fsck: &Fsck) -> bool {
        fsck.findings().iter().any(|finding| {
            let kind = finding["kind"].as_str().unwrap();
            if !self.has_rows {
                return kind == "records-damaged" && finding["key"].as_str().unwrap().ends_with(&self.pack);
            }
            finding["pack"] == json!(self.pack)
                && match self.frame {
                    Some(offset) => kind.starts_with("frame-") && finding["offset"] == json!(offset),
                    None => matches!(kind, "pack-trailer" | "pack-beginning"),
                }
        })
    }
}

/// Reads a path as Nix would. Whatever comes with a 200 and to its end must be right.
async fn read(http: &Http, path: &TestPath) -> bool {
    let narinfo = http.get(&format!("/main/{}.narinfo", path.hash())).await;
    if narinfo.status != 200 {
        return false;
    }
    let narinfo = NarInfo::parse(&StoreDir::default(), narinfo.body).unwrap();
    assert_eq!(narinfo.info.nar_hash, path.info.nar_hash);
    match try_answer(http.request(Method::GET, &format!("/main/{}", narinfo.url))).await {
        Ok(answer) if answer.status == 200 => {
            let nar = decompress(narinfo.compression, &answer.body).await.unwrap();
            assert_eq!(NarHash::digest_of(&nar), path.info.nar_hash, "wrong bytes left with a 200");
            true
        }
        _ => false,
    }
}

/// The listing of a path, if it is there: whole.
async fn listing(http: &Http, path: &TestPath) -> Option<String> {
    let answer = try_answer(http.request(Method::GET, &format!("/main/{}.ls", path.hash()))).await.ok()?;
    (answer.status == 200).then(|| answer.text())
}

async fn missing(http: &Http, paths: &[TestPath]) -> Vec<String> {
    let ask = json!({"cache": "main", "store_path_hashes": paths.iter().map(TestPath::hash).collect::<Vec<_>>()});
    let answer = http.send_json(Method::POST, "/_api/v1/get-missing-paths", &ask).await.expect(200);
    serde_json::from_value(answer.json()["missing_paths"].clone()).unwrap()
}

/// Pushes as `nix copy` does.
async fn put(http: &Http, path: &TestPath) {
    let file = crate::harness::compress(Compression::Zstd, &path.nar).await;
    let (url, narinfo) = path.as_put(Compression::Zstd, &file);
    assert!(http.put(&format!("/main/{url}"), file).await.status.is_success());
    assert!(http.put(&format!("/main/{}.narinfo", path.hash()), narinfo).await.status.is_success());
}

#[tokio::test]
async fn a_hundred_flipped_bits_are_found_never_served_and_healed() {
    let (number, mut seed) = Seed::from_environment("flips");
    let server = Server::new();
    let admin = server.admin();
    let http = server.http();
    let key = http.public_key("main").await;
    let mut paths = Vec::new();
    for i in 0..30 {
        let node = match i % 3 {
            0 => Node::noise(&mut seed, 1 << 20),
            1 => Node::small_files(&mut seed, 40),
            _ => Node::directory([
                ("files", Node::small_files(&mut seed, 10)),
                ("noise", Node::noise(&mut seed, 300_000)),
            ]),
        };
        let path = TestPath::new(&format!("path-{number:x}-{i}"), &node);
        admin.upload("main", &path).await.expect(200);
        paths.push(path);
    }
    let mut listings = HashMap::new();
    for path in &paths {
        listings.insert(path.hash(), listing(&http, path).await.unwrap());
    }
    let healthy = Fsck::run(&server, &["--deep"]);
    assert_eq!((healthy.status, healthy.findings().len()), (0, 0), "{:#}", healthy.report);

    let (packs, records) = (packs(&server), records(&server));
    let mut flips = Vec::new();
    for i in 0..FLIPS {
        flips.push(match i % 10 {
            0 => flip(&mut seed, &packs, true, true),
            1 if !records.is_empty() => flip(&mut seed, &records, false, false),
            _ => flip(&mut seed, &packs, false, true),
        });
    }
    // None is ever served, before anybody has looked …
    let mut broken = 0;
    for path in &paths {
        broken += usize::from(!read(&http, path).await);
        if let Some(listing) = listing(&http, path).await {
            assert_eq!(listing, listings[&path.hash()]);
        }
    }
    assert!(broken > 0);
    // … and every one is found, beside the server.
    let found = Fsck::run(&server, &["--deep"]);
    assert_eq!(found.status, 3);
    for flip in &flips {
        assert!(flip.is_in(&found), "{flip:?} was not found: {:#}", found.report);
    }
    // All are healed by pushing again whatever the server says is missing,
    let lacking = missing(&admin, &paths).await;
    assert!(lacking.len() >= broken);
    for (i, path) in paths.iter().enumerate() {
        if lacking.contains(&path.hash()) {
            match i % 2 {
                0 => admin.upload("main", path).await.expect(200).headers.clear(),
                _ => put(&admin, path).await,
            }
        }
    }
    assert!(missing(&admin, &paths).await.is_empty());
    for path in &paths {
        http.pull_same("main", path, &key).await;
    }
    // but for what only describes what is stored, which is written anew.
    let mended = Fsck::run(&server, &["--repair"]);
    assert!(matches!(mended.status, 0 | 4), "{:#}", mended.report);
    let healed = Fsck::run(&server, &["--deep"]);
    assert_eq!(healed.status, 0, "{:#}", healed.report);
    for path in &paths {
        http.pull_same("main", path, &key).await;
        let listing = listing(&http, path).await;
        assert!(listing.is_none_or(|listing| listing == listings[&path.hash()]));
    }
}
