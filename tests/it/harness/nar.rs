//! Things to push: trees made up in memory, and the NARs of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::Path,
};

use bytes::Bytes;
use formats::{Compression, FileHash, NarHash, NarInfo, PathInfo, StoreDir, StorePath, StorePathHash, nar::Writer};
use protocol::attic::UploadPathNarInfo;

use super::Seed;

/// A file system object as a NAR holds it. Names are bytes, as on Linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File { executable: bool, contents: Bytes },
    Directory(BTreeMap<Vec<u8>, Node>),
    Symlink(Vec<u8>),
}

impl Node {
    pub(crate) fn file(contents: impl Into<Bytes>) -> Self {
        Self::File { executable: false, contents: contents.into() }
    }

    pub(crate) fn directory(entries: impl IntoIterator<Item = (impl Into<Vec<u8>>, Self)>) -> Self {
        Self::Directory(entries.into_iter().map(|(name, node)| (name.into(), node)).collect())
    }

    /// A directory of `count` small files, which are compressible as source code is.
    pub(crate) fn small_files(seed: &mut Seed, count: usize) -> Self {
        let file = |i: usize, seed: &mut Seed| {
            let len = seed.in_range(0..4000);
            (format!("file-{i:05}"), Self::file(text(seed, len)))
        };
        Self::directory((0..count).map(|i| file(i, seed)).collect::<Vec<_>>())
    }

    /// One file whose bytes do not compress.
    pub(crate) fn noise(seed: &mut Seed, len: usize) -> Self {
        Self::file(seed.bytes(len))
    }

    /// Everything that a NAR can hold and that is easily got wrong.
    pub(crate) fn odd() -> Self {
        let names: [&[u8]; 9] =
            [b" ", b"-", b"...", b"A", b"Z", b"a b", b"~nix~case~hack~1", "ä€𝄞".as_bytes(), b"back\\slash\"\n\t"];
        let mut entries: BTreeMap<Vec<u8>, Self> =
            names.into_iter().map(|name| (name.to_vec(), Self::file(name.to_vec()))).collect();
        entries.insert(b"empty".to_vec(), Self::file(Bytes::new()));
        entries.insert(b"empty-directory".to_vec(), Self::Directory(BTreeMap::new()));
        let program = Bytes::from_static(b"#!/bin/sh\nexit 0\n");
        entries.insert(b"program".to_vec(), Self::File { executable: true, contents: program });
        entries.insert(b"link".to_vec(), Self::Symlink(b"../nowhere/at all".to_vec()));
        entries.insert(b"sub".to_vec(), Self::directory([("a", Self::file("a")), ("b", Self::Symlink(b"a".to_vec()))]));
        // Lengths around the padding to eight bytes.
        for len in 1..=9 {
            entries.insert(format!("len-{len}").into_bytes(), Self::file(vec![b'x'; len]));
        }
        Self::Directory(entries)
    }

    /// Its NAR.
    pub(crate) fn to_nar(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.begin();
        self.write(&mut writer);
        writer.take().into()
    }

    /// Makes it at this place of a file system.
    pub(crate) fn write_to(&self, place: &Path) {
        match self {
            Self::File { executable, contents } => {
                fs::write(place, contents).unwrap();
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
            }
            Self::Symlink(target) => symlink(OsStr::from_bytes(target), place).unwrap(),
            Self::Directory(entries) => {
                fs::create_dir(place).unwrap();
                for (name, node) in entries {
                    node.write_to(&place.join(OsStr::from_bytes(name)));
                }
            }
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::File { executable, contents } => {
                writer.regular_begin(*executable, contents.len() as u64);
                writer.contents(contents);
                writer.regular_end(contents.len() as u64);
            }
            Self::Symlink(target) => writer.symlink(target),
            Self::Directory(entries) => {
                writer.directory_begin();
                for (name, node) in entries {
                    writer.entry_begin(name);
                    node.write(writer);
                    writer.entry_end();
                }
                writer.directory_end();
            }
        }
    }
}

/// A store path with its NAR.
#[derive(Debug, Clone)]
pub(crate) struct TestPath {
    pub(crate) info: PathInfo,
    pub(crate) nar: Bytes,
}

impl TestPath {
    /// Any tree under any name; the hash part follows from the name and the contents.
    pub(crate) fn new(name: &str, node: &Node) -> Self {
        Self::of_nar(name, node.to_nar())
    }

    /// Any bytes as a NAR, valid or not.
    pub(crate) fn of_nar(name: &str, nar: impl Into<Bytes>) -> Self {
        let nar = nar.into();
        let hash = blake3::Hasher::new().update(name.as_bytes()).update(&nar).finalize();
        let hash = StorePathHash::from_bytes(*hash.as_bytes().first_chunk().unwrap());
        let info = PathInfo {
            path: StorePath::new(hash, name.parse().unwrap()),
            nar_hash: NarHash::digest_of(&nar),
            nar_size: nar.len() as u64,
            references: BTreeSet::new(),
            deriver: None,
            signatures: BTreeSet::default(),
            ca: None,
        };
        Self { info, nar }
    }

    /// A small path with contents of its own.
    pub(crate) fn small(label: &str) -> Self {
        Self::new(label, &Node::small_files(&mut Seed::new(0, label), 5))
    }

    #[must_use]
    pub(crate) fn with_references(mut self, references: impl IntoIterator<Item = StorePath>) -> Self {
        self.info.references = references.into_iter().collect();
        self
    }

    /// `HASH`, by which a cache looks it up.
    pub(crate) fn hash(&self) -> String {
        self.info.path.hash().to_string()
    }

    /// What Attic's client says of it when it uploads it.
    pub(crate) fn upload_info(&self, cache: &str) -> UploadPathNarInfo {
        let info = &self.info;
        UploadPathNarInfo {
            cache: cache.parse().unwrap(),
            store_path_hash: self.hash(),
            store_path: StoreDir::default().join(&info.path),
            references: info.references.iter().map(ToString::to_string).collect(),
            system: None,
            deriver: info.deriver.as_ref().map(ToString::to_string),
            sigs: info.signatures.iter().map(ToString::to_string).collect(),
            ca: info.ca.as_ref().map(ToString::to_string),
            nar_hash: info.nar_hash.to_string(),
            nar_size: info.nar_size,
        }
    }

    /// How `nix copy` would put it when `file` is its NAR in this compression: the URL of the file, and the narinfo.
    pub(crate) fn as_put(&self, compression: Compression, file: &[u8]) -> (String, String) {
        let file_hash = FileHash::digest_of(file);
        let url = format!("nar/{}.nar{}", file_hash.nix32(), compression.suffix());
        let narinfo = NarInfo {
            info: self.info.clone(),
            url: url.clone(),
            compression,
            file_hash: Some(file_hash),
            file_size: Some(file.len() as u64),
            extra: Vec::new(),
        };
        (url, narinfo.render(&StoreDir::default()))
    }
}

/// Text of a few hundred words, about as compressible as source code.
fn text(seed: &mut Seed, len: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "let", "fn", "return", "self", "match", "(", ")", "{\n", "}\n", "=", ";\n", "value", "path", "cache", "0",
        "\"\"",
    ];
    let mut text = Vec::with_capacity(len + 8);
    while text.len() < len {
        text.extend_from_slice(seed.pick(&WORDS).as_bytes());
        text.push(b' ');
        if seed.in_range(0..6) == 0 {
            text.extend_from_slice(format!("x{:x} ", seed.in_range(0..1 << 16)).as_bytes());
        }
    }
    text.truncate(len);
    text
}
