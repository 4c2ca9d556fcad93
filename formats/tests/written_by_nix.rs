//! What this crate makes of files that a real Nix wrote; `tests/data/README.md` says how.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use formats::nar::{Event, Limits, Listing, ListingBuilder, Reader, Writer};
use formats::{
    CacheInfo, Compression, ContentAddress, FileHash, NarHash, NarInfo, PublicKey, Realisation, ReferenceScanner,
    SecretKey, StoreDir,
};

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

fn read(path: &str) -> Vec<u8> {
    fs::read(data(path)).unwrap()
}

fn read_text(path: &str) -> String {
    fs::read_to_string(data(path)).unwrap()
}

/// The names and contents of a folder's files that end so, sorted; there must be some.
fn all(folder: &str, end: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(data(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().ends_with(end))
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn narinfos() -> Vec<NarInfo> {
    all("cache", ".narinfo").iter().map(|(_, text)| NarInfo::parse(&StoreDir::default(), text).unwrap()).collect()
}

/// Reads a NAR and writes it again from the events alone.
fn rewrite(nar: &[u8], piece: usize) -> Vec<u8> {
    let mut reader = Reader::new(Limits::default());
    let mut writer = Writer::new();
    let (mut depth, mut size) = (0, 0);
    writer.begin();
    for piece in nar.chunks(piece) {
        reader
            .push(piece, &mut |event| {
                match event {
                    Event::Directory => {
                        writer.directory_begin();
                        depth += 1;
                    }
                    Event::Entry { name } => writer.entry_begin(name),
                    Event::EndDirectory => {
                        writer.directory_end();
                        depth -= 1;
                    }
                    Event::Regular { executable, size: of_file, .. } => {
                        writer.regular_begin(executable, of_file);
                        size = of_file;
                    }
                    Event::Contents(bytes) => writer.contents(bytes),
                    Event::EndRegular => writer.regular_end(size),
                    Event::Symlink { target } => writer.symlink(target),
                }
                let node_ended = matches!(event, Event::EndDirectory | Event::EndRegular | Event::Symlink { .. });
                if node_ended && depth > 0 {
                    writer.entry_end();
                }
            })
            .unwrap();
    }
    reader.finish().unwrap();
    writer.take()
}

#[test]
fn nars_are_read_and_written_back() {
    for entry in fs::read_dir(data("nar")).unwrap() {
        let path = entry.unwrap().path();
        let nar = fs::read(&path).unwrap();
        for piece in [1, 7, 64, nar.len()] {
            assert_eq!(rewrite(&nar, piece), nar, "{} in pieces of {piece}", path.display());
        }
    }
}

#[test]
fn an_odd_tree_is_seen_whole() {
    let nar = read("nar/tree.nar");
    let mut names = Vec::new();
    Reader::new(Limits::default())
        .push(&nar, &mut |event| {
            if let Event::Entry { name } = event {
                names.push(String::from_utf8(name.to_vec()).unwrap());
            }
        })
        .unwrap();
    for name in ["...", ".hidden", "A", "a", "a-b", "a.b", "a0", "aa", "tab\tnl\nbell\u{7}", "日本", &"n".repeat(255)]
    {
        assert!(names.iter().any(|seen| seen == name), "{name:?}");
    }
}

#[test]
fn narinfos_are_written_back_byte_for_byte() {
    for folder in ["cache", "compression"] {
        for (name, text) in all(folder, ".narinfo") {
            let info = NarInfo::parse(&StoreDir::default(), &text).unwrap();
            assert_eq!(info.render(&StoreDir::default()), text, "{name}");
            if folder == "cache" {
                assert_eq!(name, format!("{}.narinfo", info.info.path.hash()));
            }
        }
    }
}

#[test]
fn every_compression_has_nixs_name() {
    for (file, text) in all("compression", ".narinfo") {
        let info = NarInfo::parse(&StoreDir::default(), text).unwrap();
        assert_eq!(file, format!("{}.narinfo", info.compression));
        // Nix itself gives gzip no suffix.
        if info.compression != Compression::Gzip {
            assert!(info.url.ends_with(&format!(".nar{}", info.compression.suffix())), "{}", info.url);
        }
    }
}

#[test]
fn the_nars_are_what_the_narinfos_say() {
    for info in narinfos() {
        let nar = read(&format!("cache/{}", info.url));
        assert_eq!(NarHash::digest_of(&nar), info.info.nar_hash);
        assert_eq!(nar.len() as u64, info.info.nar_size);
        assert_eq!(Some(FileHash::digest_of(&nar)), info.file_hash);
        assert_eq!(rewrite(&nar, nar.len()), nar);
    }
}

#[test]
fn nixs_signatures_are_valid_and_ours_are_the_same() {
    let secret: SecretKey = read_text("keys/nix-key.secret").parse().unwrap();
    let public: PublicKey = read_text("keys/nix-key.public").parse().unwrap();
    assert_eq!(secret.public_key(), public);
    let store_dir = StoreDir::default();
    for mut info in narinfos() {
        assert_eq!(info.info.signatures.len(), 1, "{}", info.info.path);
        assert!(info.info.is_signed_by(&store_dir, [&public]), "{}", info.info.path);
        // Ed25519 is deterministic: signing again adds nothing.
        info.info.sign(&store_dir, &secret);
        assert_eq!(info.info.signatures.len(), 1, "{}", info.info.path);
    }
}

#[test]
fn keys_of_both_commands_are_read() {
    for command in ["nix-key", "nix-store"] {
        let text = read_text(&format!("keys/{command}.secret"));
        let secret: SecretKey = text.parse().unwrap();
        assert_eq!(secret.to_text(), text.trim_end());
        let public = read_text(&format!("keys/{command}.public"));
        assert_eq!(secret.public_key().to_string(), public.trim_end());
    }
}

#[test]
fn content_addresses_lead_to_nixs_paths() {
    let store_dir = StoreDir::default();
    let (mut texts, mut flats, mut archives, mut self_references) = (0, 0, 0, 0);
    for info in narinfos() {
        match info.info.ca {
            Some(ContentAddress::Text(_)) => texts += 1,
            Some(ContentAddress::Flat(_)) => flats += 1,
            Some(ContentAddress::NixArchive(_)) => archives += 1,
            Some(ContentAddress::Git(_)) => panic!("this Nix has no git hashing"),
            None => {
                assert!(!info.info.is_content_addressed(&store_dir));
                continue;
            }
        }
        self_references += usize::from(info.info.references.contains(&info.info.path));
        assert!(info.info.is_content_addressed(&store_dir), "{}", info.info.path);
        // The store directory is part of it.
        assert!(!info.info.is_content_addressed(&"/other/store".parse().unwrap()));
        let mut renamed = info.info.clone();
        renamed.path = format!("{}-other", info.info.path.hash()).parse().unwrap();
        assert!(!renamed.is_content_addressed(&store_dir));
    }
    // Two texts of which one has a reference, four algorithms each way, a tree, and two floating outputs.
    assert_eq!((texts, flats, archives, self_references), (2, 4, 7, 1));
}

#[test]
fn listings_say_what_nixs_say() {
    let mut compared = 0;
    for info in narinfos() {
        let Ok(theirs) = fs::read_to_string(data(&format!("cache/{}.ls", info.info.path.hash()))) else {
            // The second copy, which brought the realisations, was told to write none.
            continue;
        };
        let nar = read(&format!("cache/{}", info.url));
        let mut builder = ListingBuilder::new();
        Reader::new(Limits::default()).push(&nar, &mut |event| builder.push(event)).unwrap();
        let ours = builder.finish().unwrap();
        assert_eq!(serde_json::from_str::<Listing>(&theirs).unwrap(), ours, "{}", info.info.path);
        // The order of keys has changed between versions of Nix, nothing else.
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&ours.render()), value(&theirs), "{}", info.info.path);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn a_listing_was_compared_for_every_kind_of_node() {
    let listings = all("cache", ".ls").into_iter().map(|(_, text)| text).collect::<String>();
    for kind in [r#""type":"regular""#, r#""type":"symlink""#, r#""type":"directory""#, r#""executable":true"#] {
        assert!(listings.contains(kind), "{kind}");
    }
}

#[test]
fn the_references_are_those_in_the_nars() {
    let infos = narinfos();
    for info in &infos {
        let mut scanner = ReferenceScanner::new(infos.iter().map(|info| *info.info.path.hash()));
        read(&format!("cache/{}", info.url)).chunks(50).for_each(|piece| scanner.push(piece));
        let references = info.info.references.iter().map(|path| *path.hash()).collect();
        assert_eq!(scanner.finish(), references, "{}", info.info.path);
    }
}

#[test]
fn realisations_are_written_back_byte_for_byte() {
    let mut dependent = 0;
    for (name, text) in all("cache/realisations", ".doi") {
        let realisation = Realisation::parse(text.as_bytes()).unwrap();
        assert_eq!(realisation.render(), text);
        assert_eq!(realisation.file_name(), format!("realisations/{name}"));
        dependent += realisation.dependent_realisations.len();
    }
    assert_eq!(dependent, 1);
}

#[test]
fn the_cache_says_only_its_store_dir() {
    let info = CacheInfo::parse(&read_text("cache/nix-cache-info")).unwrap();
    assert_eq!(info, CacheInfo { store_dir: StoreDir::default(), want_mass_query: false, priority: 0 });
}
