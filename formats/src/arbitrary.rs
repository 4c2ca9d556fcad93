//! Property-test strategies: valid values of every type, as wild as Nix allows.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::derivation::{Derivation, Method, Output};
use crate::nar::Writer;
use crate::{
    Compression, ContentAddress, FileHash, Hash, HashAlgorithm, KeyName, NarHash, NarInfo, PathInfo, SecretKey, Sha256,
    Signature, StorePath, StorePathHash, StorePathName,
};

/// Any hash algorithm.
pub fn hash_algorithm() -> impl Strategy<Value = HashAlgorithm> {
    prop::sample::select(vec![
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha512,
        HashAlgorithm::Blake3,
    ])
}

/// A hash of any algorithm.
pub fn hash() -> impl Strategy<Value = Hash> {
    (hash_algorithm(), any::<[u8; 8]>()).prop_map(|(algorithm, bytes)| Hash::digest_of(algorithm, &bytes))
}

/// A SHA-256.
pub fn sha256() -> impl Strategy<Value = Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes)
}

/// The hash of some NAR.
pub fn nar_hash() -> impl Strategy<Value = NarHash> {
    sha256().prop_map(NarHash::from)
}

/// The hash of some compressed NAR.
pub fn file_hash() -> impl Strategy<Value = FileHash> {
    sha256().prop_map(FileHash::from)
}

/// The hash part of a store path.
pub fn store_path_hash() -> impl Strategy<Value = StorePathHash> {
    any::<[u8; 20]>().prop_map(StorePathHash::from_bytes)
}

/// The name of a store path, mostly short, sometimes as long as it may be.
pub fn store_path_name() -> impl Strategy<Value = StorePathName> {
    prop_oneof![
        8 => "[-+._?=0-9A-Za-z]{1,20}",
        2 => "[a-z]{1,12}-[0-9]\\.[0-9]{1,2}(-bin|-dev|\\.drv)?",
        1 => "[-+._?=0-9A-Za-z]{200,211}",
    ]
    .prop_filter_map("a name that Nix refuses", |name| name.parse().ok())
}

/// A store path.
pub fn store_path() -> impl Strategy<Value = StorePath> {
    (store_path_hash(), store_path_name()).prop_map(|(hash, name)| StorePath::new(hash, name))
}

/// A set of store paths, often empty.
pub fn references() -> impl Strategy<Value = BTreeSet<StorePath>> {
    btree_set(store_path(), 0..5)
}

/// The name of a key.
pub fn key_name() -> impl Strategy<Value = KeyName> {
    "[a-z0-9.@+/é-]{1,30}".prop_filter_map("a name that is refused", |name| name.parse().ok())
}

/// A signing key; never use it for anything else than tests.
pub fn secret_key() -> impl Strategy<Value = SecretKey> {
    (key_name(), any::<[u8; 32]>()).prop_map(|(name, seed)| SecretKey::generate(name, seed))
}

/// A signature that is over nothing in particular.
pub fn signature() -> impl Strategy<Value = Signature> {
    (secret_key(), ".{0,20}").prop_map(|(key, text)| key.sign(&text))
}

/// A content address.
pub fn content_address() -> impl Strategy<Value = ContentAddress> {
    let git = prop::sample::select(vec![HashAlgorithm::Sha1, HashAlgorithm::Sha256]);
    prop_oneof![
        sha256().prop_map(ContentAddress::Text),
        hash().prop_map(ContentAddress::Flat),
        hash().prop_map(ContentAddress::NixArchive),
        (git, any::<[u8; 8]>()).prop_map(|(git, bytes)| ContentAddress::Git(Hash::digest_of(git, &bytes))),
    ]
}

/// A path info; its parts have nothing to do with one another.
pub fn path_info() -> impl Strategy<Value = PathInfo> {
    (
        store_path(),
        nar_hash(),
        1..=u64::MAX,
        references(),
        option::of(store_path()),
        btree_set(signature(), 0..3),
        option::of(content_address()),
    )
        .prop_map(|(path, nar_hash, nar_size, references, deriver, signatures, ca)| PathInfo {
            path,
            nar_hash,
            nar_size,
            references,
            deriver,
            signatures,
            ca,
        })
}

/// Any compression.
pub fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

/// A narinfo that survives being rendered and parsed.
pub fn nar_info() -> impl Strategy<Value = NarInfo> {
    (
        path_info(),
        "[!-~]{1,60}",
        compression(),
        option::of(file_hash()),
        option::of(1..=u64::MAX),
        vec(("X-[A-Za-z]{1,10}", "[ -~é]{0,30}"), 0..3),
    )
        .prop_map(|(info, url, compression, file_hash, file_size, extra)| NarInfo {
            info,
            url,
            compression,
            file_hash,
            file_size,
            extra,
        })
}

/// What a NAR can be an archive of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// A file.
    File {
        /// Whether it can be run.
        executable: bool,
        /// What is in it.
        contents: Vec<u8>,
    },
    /// A symbolic link to that target.
    Symlink(Vec<u8>),
    /// A directory, by name.
    Directory(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// The tree as a NAR.
    pub fn nar(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.begin();
        self.write(&mut writer);
        writer.take()
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

/// A small tree with names and targets that are text.
pub fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        3 => (any::<bool>(), vec(any::<u8>(), 0..40))
            .prop_map(|(executable, contents)| Tree::File { executable, contents }),
        1 => "[^\0]{1,12}".prop_map(|target| Tree::Symlink(target.into_bytes())),
    ];
    let name = "[^\0/]{1,6}".prop_filter("no file can have that name", |name| name != "." && name != "..");
    leaf.prop_recursive(4, 24, 5, move |node| {
        btree_map(name.clone().prop_map(String::into_bytes), node, 0..5).prop_map(Tree::Directory)
    })
}

/// A derivation; its paths do not follow from it.
pub fn derivation() -> impl Strategy<Value = Derivation> {
    let method = || prop::sample::select(vec![Method::Flat, Method::NixArchive, Method::Text, Method::Git]);
    let ca = prop_oneof![
        hash().prop_map(ContentAddress::Flat),
        hash().prop_map(ContentAddress::NixArchive),
        sha256().prop_map(ContentAddress::Text),
    ];
    let out = || Just("out".parse::<StorePathName>().unwrap_or_else(|_| unreachable!("it is a name")));
    let outputs = prop_oneof![
        btree_map(store_path_name(), store_path().prop_map(Output::InputAddressed), 1..4),
        btree_map(out(), (store_path(), ca).prop_map(|(path, ca)| Output::Fixed { path, ca }), 1..2),
        btree_map(
            store_path_name(),
            (method(), hash_algorithm()).prop_map(|(method, algorithm)| Output::Floating { method, algorithm }),
            1..3
        ),
        btree_map(
            store_path_name(),
            (method(), hash_algorithm()).prop_map(|(method, algorithm)| Output::Impure { method, algorithm }),
            1..3
        ),
        btree_map(store_path_name(), Just(Output::Deferred), 1..3),
    ];
    let drv = (store_path_hash(), "[a-z]{1,9}\\.drv")
        .prop_filter_map("a name that Nix refuses", |(hash, name)| Some(StorePath::new(hash, name.parse().ok()?)));
    let bytes = || prop_oneof![3 => "[ -~]{0,20}".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..20)];
    let inputs = btree_map(drv, btree_set(store_path_name(), 0..3), 0..3);
    (outputs, inputs, references(), bytes(), bytes(), vec(bytes(), 0..3), btree_map(bytes(), bytes(), 0..5)).prop_map(
        |(outputs, input_derivations, input_sources, system, builder, arguments, environment)| Derivation {
            outputs,
            input_derivations,
            input_sources,
            system,
            builder,
            arguments,
            environment,
        },
    )
}
