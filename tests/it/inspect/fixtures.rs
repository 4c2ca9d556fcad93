//! One kind of damage at a time, with the report that is expected of it.

use std::{fs, path::PathBuf};

use formats::Compression;

use super::store::{Pack, copy, packs, records, sql};
use crate::harness::{Fsck, Http, Node, Seed, Server, TestPath};

/// A server that has a bit of everything, stopped; and a copy of its data.
struct World {
    server: Server,
    whole: PathBuf,
    small: TestPath,
    large: TestPath,
}

const LOG: &str = "/main/log/00000000000000000000000000000000-x.drv";

impl World {
    async fn new() -> Self {
        let mut server = Server::new();
        let admin = server.admin();
        let small = TestPath::small("small");
        let large = TestPath::new("large", &Node::noise(&mut Seed::new(7, "fixtures"), 5 << 20));
        let referrer = TestPath::small("referrer").with_references([small.info.path.clone(), large.info.path.clone()]);
        for path in [&small, &large, &referrer] {
            admin.upload("main", path).await.expect(200);
        }
        assert!(admin.put(LOG, "it was built\n").await.status.is_success());
        assert!(server.terminate().success());
        let whole = server.scratch().join("whole");
        copy(&server.data_dir(), &whole);
        Self { server, whole, small, large }
    }

    fn restore(&self) {
        copy(&self.whole, &self.server.data_dir());
    }

    /// Damages a whole store, looks at it twice, and gives what `fsck` says the first time.
    #[track_caller]
    fn after(&self, damage: impl FnOnce(&Server), options: &[&str], status: i32, counts: &[(&str, u64)]) -> Fsck {
        self.restore();
        damage(&self.server);
        let first = Fsck::run(&self.server, &[options, &["--dry-run"]].concat());
        let expected: Vec<(String, u64)> = counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let found: Vec<(String, u64)> = first.counts().into_iter().collect();
        assert_eq!((found, first.status), (expected, status), "{:#}", first.report);
        let again = Fsck::run(&self.server, &[options, &["--dry-run"]].concat());
        assert_eq!((again.counts(), again.status), (first.counts(), status), "a dry run changes nothing");
        first
    }

    /// `fsck --repair`, and whether all is well then, trailers and hashes too.
    #[track_caller]
    fn mends(&self) -> serde_json::Value {
        let repaired = Fsck::run(&self.server, &["--repair"]);
        assert_eq!(repaired.status, 4, "{:#}", repaired.report);
        let after = Fsck::run(&self.server, &["--deep"]);
        assert_eq!((after.status, &after.report["damage"]), (0, &0.into()), "{:#}", after.report);
        repaired.report["repair"]["mended"].clone()
    }
}

/// The pack of the large path, which it fills alone.
fn large(server: &Server) -> Pack {
    packs(server).swap_remove(0)
}

/// The pack of the small path.
fn small(server: &Server) -> Pack {
    let packs = packs(server);
    packs.into_iter().rev().find(|pack| pack.frames.len() > 1).unwrap()
}

fn append(pack: &Pack, bytes: &[u8]) {
    let whole = fs::read(&pack.file).unwrap();
    fs::write(&pack.file, [&whole, bytes].concat()).unwrap();
}

#[tokio::test]
async fn each_kind_of_damage_has_its_report() {
    let world = World::new().await;
    let deep = &["--deep"][..];
    for options in [&[][..], deep] {
        world.after(|_| {}, options, 0, &[]);
    }
    // Objects.
    world.after(
        |server| fs::remove_file(large(server).file).unwrap(),
        &[],
        3,
        &[("nar-damaged", 1), ("pack-missing", 1)],
    );
    let cut = |server: &Server| {
        let pack = large(server);
        fs::File::options().write(true).open(&pack.file).unwrap().set_len(pack.size / 2).unwrap();
    };
    let lost = {
        world.restore();
        let pack = large(&world.server);
        pack.frames.iter().filter(|(_, end)| *end > pack.size / 2).count() as u64
    };
    world.after(cut, &[], 3, &[("frame-damaged", lost), ("nar-damaged", 1), ("pack-too-short", 1)]);
    let twice = |server: &Server| {
        let pack = large(server);
        let copy = pack.file.with_file_name(format!("{}{}", &pack.name()[..2], "0".repeat(30)));
        fs::copy(&pack.file, copy).unwrap();
    };
    world.after(twice, &[], 0, &[("pack-unknown", 1)]);
    let foreign = |server: &Server| fs::write(server.data_dir().join("store/objects/packs/note"), "hello").unwrap();
    world.after(foreign, &[], 0, &[("object-unknown", 1)]);
    let flip = |server: &Server| large(server).flip(large(server).frames[0].0 + 100, 3);
    world.after(flip, &[], 3, &[("frame-damaged", 1), ("nar-damaged", 1)]);
    world.after(flip, &["--cache", "main"], 3, &[("nar-damaged", 1)]);
    let in_records = |server: &Server| records(server)[0].flip(20, 3);
    world.after(in_records, &[], 3, &[("records-damaged", 1)]);
    // The storage is not there at all, as when a disk is not mounted: nothing is said to be damaged.
    world.restore();
    fs::remove_dir_all(world.server.data_dir().join("store/objects/packs")).unwrap();
    let output = world.server.command().arg("fsck").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is it mounted"));
}

/// Rows that are wrong: told from the object's own trailer, or from the bytes.
#[tokio::test]
async fn each_wrong_row_has_its_report() {
    let world = World::new().await;
    let deep = &["--deep"][..];
    let nar = |what: &str, path: &TestPath| {
        format!(
            "UPDATE nar SET {what} WHERE hash = x'{}'",
            data_encoding::HEXLOWER.encode(path.info.nar_hash.as_bytes())
        )
    };
    let wrong = |statement: &str| {
        let statement = statement.to_owned();
        move |server: &Server| sql(server, &statement)
    };
    let chunk = "WHERE id = (SELECT max(id) FROM chunk WHERE stored_size > 200000)";
    let damaged = &[("frame-damaged", 1), ("nar-damaged", 1), ("pack-disagrees", 1)][..];
    world.after(wrong(&format!("UPDATE chunk SET check_sum = 4294967295 - check_sum {chunk}")), &[], 3, damaged);
    // The name of a chunk is compared with its bytes only when they are hashed.
    let renamed = wrong(&format!("UPDATE chunk SET hash = randomblob(32) {chunk}"));
    world.after(&renamed, &[], 3, &[("pack-disagrees", 1)]);
    world.after(&renamed, deep, 3, damaged);
    world.after(wrong(&format!("DELETE FROM chunk {chunk}")), &[], 3, &[("nar-damaged", 1)]);
    world.after(wrong(&nar("size = size + 1", &world.small)), &[], 3, &[("nar-damaged", 1)]);
    world.after(wrong(&nar("file_size = file_size + 1", &world.small)), &[], 3, &[("nar-damaged", 1)]);
    world.after(wrong(&nar("manifest = x'ff'", &world.small)), &[], 3, &[("nar-damaged", 1)]);
    for what in ["hash = randomblob(32)", "file_hash = randomblob(32)"] {
        world.after(wrong(&nar(what, &world.small)), &[], 0, &[]);
        world.after(wrong(&nar(what, &world.small)), deep, 3, &[("nar-damaged", 1)]);
    }
    world.after(
        wrong(&nar("quarantined_at = 1", &world.large)),
        &[],
        3,
        &[("nar-quarantined", 1), ("references-absent", 1)],
    );
    world.after(wrong(&nar("listing = manifest", &world.small)), deep, 3, &[("listing-damaged", 1)]);
    world.after(wrong("UPDATE document SET size = size + 1"), &[], 3, &[("document-damaged", 1)]);
    let no_nar = "UPDATE path SET nar_id = 9999 WHERE name = 'small'";
    world.after(wrong(no_nar), &[], 3, &[("path-without-nar", 1)]);
    let gone = "DELETE FROM path WHERE name = 'small'";
    let report = world.after(wrong(gone), &[], 0, &[("references-absent", 1)]);
    assert_eq!(report.report["examined"]["open-closures"], 1);
    assert_eq!(report.report["examined"]["whole-closures"], 1);
}

/// What can be mended from what is here is.
#[tokio::test]
async fn repair_uses_what_there_is() {
    let world = World::new().await;
    // Another copy of the pack, which no row names.
    world.restore();
    let pack = large(&world.server);
    let copy_name = format!("{}{}", &pack.name()[..2], "0".repeat(30));
    fs::copy(&pack.file, pack.file.with_file_name(copy_name)).unwrap();
    pack.flip(pack.frames[0].0 + 100, 3);
    assert_eq!(world.mends()["nars-from-chunks"], 1);
    // A listing is made from the NAR; a NAR that was hidden for nothing is shown again.
    let hash = data_encoding::HEXLOWER.encode(world.small.info.nar_hash.as_bytes());
    world.restore();
    sql(&world.server, &format!("UPDATE nar SET quarantined_at = 1 WHERE hash = x'{hash}'"));
    assert_eq!(world.mends()["nars-from-chunks"], 1);
    // Rows that refer to nothing go.
    world.restore();
    sql(&world.server, "UPDATE path SET nar_id = 9999 WHERE name = 'small'");
    assert_eq!(world.mends()["rows-dropped"], 1);
    world.restore();
    sql(&world.server, "UPDATE document SET manifest = x'01904e01'");
    assert_eq!(world.mends()["rows-dropped"], 1);
    // Records that are lost are written again.
    world.restore();
    records(&world.server)[0].flip(20, 3);
    world.mends();
}

/// A NAR that is lost here comes from another cache, whatever its compression there; wrong ones do not.
#[tokio::test]
async fn repair_fetches_from_another_cache() {
    let mut world = World::new().await;
    let other = Server::new();
    let from = format!("{}/main", other.url());
    let lost = |world: &World| {
        world.restore();
        fs::remove_file(large(&world.server).file).unwrap();
    };
    lost(&world);
    let absent = Fsck::run(&world.server, &["--repair", "--from", &from]);
    assert_eq!((absent.status, &absent.report["repair"]["mended"]["nars-left"]), (3, &1.into()), "{:#}", absent.report);
    // The same path with another NAR.
    let mut impostor = TestPath::small("impostor");
    impostor.info.path = world.large.info.path.clone();
    other.admin().upload("main", &impostor).await.expect(200);
    assert_eq!(Fsck::run(&world.server, &["--repair", "--from", &from]).status, 3);
    // The right one, as `nix copy` puts it.
    let other = Server::new();
    put(&other.admin(), &world.large).await;
    let right = Fsck::run(&world.server, &["--repair", "--from", &from, "--from", &format!("{}/main/", other.url())]);
    assert_eq!(right.status, 4, "{:#}", right.report);
    assert_eq!(right.report["repair"]["mended"]["nars-fetched"], 1);
    world.server.restart();
    let http = world.server.http();
    http.pull_same("main", &world.large, &http.public_key("main").await).await;
}

async fn put(http: &Http, path: &TestPath) {
    let file = crate::harness::compress(Compression::Xz, &path.nar).await;
    let (url, narinfo) = path.as_put(Compression::Xz, &file);
    assert!(http.put(&format!("/main/{url}"), file).await.status.is_success());
    assert!(http.put(&format!("/main/{}.narinfo", path.hash()), narinfo).await.status.is_success());
}

#[tokio::test]
async fn what_describes_a_pack_is_written_anew() {
    let world = World::new().await;
    for (kind, damage) in [
        ("pack-beginning", (|pack: &Pack| pack.flip(3, 1)) as fn(&Pack)),
        ("pack-trailer", |pack| pack.flip(pack.trailer + 4, 5)),
        ("pack-trailer", |pack| pack.flip(pack.size - 50, 0)),
        ("pack-trailer", |pack| pack.flip(pack.size - 42, 0)),
        ("pack-trailer", |pack| pack.flip(pack.size - 20, 7)),
        ("pack-trailer", |pack| pack.flip(pack.size - 1, 7)),
        ("pack-too-long", |pack| append(pack, b"more")),
    ] {
        for pack in [small, large] {
            world.after(|server| damage(&pack(server)), &[], 3, &[(kind, 1)]);
            let mended = world.mends();
            assert_eq!(mended["packs"], 1, "{kind}: {mended}");
        }
    }
}
