//! Things to put into an index, each made from a short text.

use std::collections::BTreeSet;

use formats::{FileHash, NarHash, PathInfo, SecretKey, StorePath, StorePathHash};
use protocol::{ChunkHash, Timestamp};

use super::Subject;
use crate::{
    CacheId, ChunkPointer, Commit, CommitError, NarFile, NewCache, NewChunk, NewNar, NewPack, NewPath, PackName,
    PathOutcome, Totals,
};

/// The time at which everything happens that does not say otherwise.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000);

/// The first `N` bytes that belong to a text.
fn bytes_of<const N: usize>(text: &str) -> [u8; N] {
    *ChunkHash::of(text.as_bytes()).as_bytes().first_chunk().unwrap()
}

pub(super) fn key(name: &str) -> SecretKey {
    SecretKey::generate(name.parse().unwrap(), bytes_of(name))
}

/// A private cache with defaults, and a key that depends on its name only.
///
/// # Panics
/// If it is no name of a cache.
#[must_use]
pub fn new_cache(name: &str) -> NewCache {
    NewCache {
        name: name.parse().unwrap(),
        is_public: false,
        store_dir: "/nix/store".parse().unwrap(),
        priority: 40,
        upstream_key_names: Vec::new(),
        retention: None,
        key: key(name),
        now: NOW,
    }
}

/// Makes a cache.
pub(super) async fn cache(db: &Subject, name: &str) -> CacheId {
    db.create_cache(&new_cache(name)).await.unwrap().unwrap().id
}

pub(super) fn path_hash(name: &str) -> StorePathHash {
    StorePathHash::from_bytes(bytes_of(name))
}

pub(super) fn store_path(name: &str) -> StorePath {
    StorePath::new(path_hash(name), name.parse().unwrap())
}

/// The chunk `name/at`; its bytes compress to something that depends on its name only.
pub(super) fn new_chunk(name: &str, at: u32) -> NewChunk {
    let hash = ChunkHash::of(format!("{name}/{at}").as_bytes());
    let check = u32::from_be_bytes(*hash.as_bytes().first_chunk().unwrap());
    NewChunk { hash, offset: u64::from(at) * 1000, stored_size: 1000, size: 4000 + at, check, cache: None }
}

/// A pack with the chunks `name/0`, `name/1`, ….
pub(super) fn pack(name: &str, chunks: u32) -> NewPack {
    let chunks: Vec<_> = (0..chunks).map(|at| new_chunk(name, at)).collect();
    NewPack { name: PackName(bytes_of(name)), size: 1000 * chunks.len() as u64 + 64, chunks }
}

/// Pointers to all chunks of a pack, as new ones.
pub(super) fn all_of(pack: &NewPack) -> Vec<ChunkPointer> {
    pack.chunks.iter().map(|chunk| ChunkPointer::New(chunk.hash)).collect()
}

pub(super) fn nar_hash(name: &str) -> NarHash {
    NarHash::digest_of(name.as_bytes())
}

/// The NAR `name` that consists of these chunks.
pub(super) fn nar(name: &str, manifest: Vec<ChunkPointer>) -> NewNar {
    NewNar {
        nar_hash: nar_hash(name),
        nar_size: 5000 + name.len() as u64,
        file_hash: FileHash::digest_of(format!("{name} as a file").as_bytes()),
        file_size: 1000,
        manifest,
        listing: None,
        now: NOW,
    }
}

/// The path `name` with this NAR, and nothing else known of it.
pub(super) fn path(cache: CacheId, name: &str, nar: &NewNar) -> NewPath {
    NewPath {
        cache,
        info: PathInfo {
            path: store_path(name),
            nar_hash: nar.nar_hash,
            nar_size: nar.nar_size,
            references: BTreeSet::new(),
            deriver: None,
            signatures: BTreeSet::new(),
            ca: None,
        },
        extra: Vec::new(),
        pushed_by: None,
        now: NOW,
    }
}

/// A commit of the path `name` with a NAR of one chunk, all of which are named after it.
pub(super) fn whole(cache: CacheId, name: &str) -> Commit {
    let pack = pack(name, 1);
    let nar = nar(name, all_of(&pack));
    let path = path(cache, name, &nar);
    Commit { packs: vec![pack], nars: vec![nar], paths: vec![path], ..Commit::default() }
}

/// Commits, and gives what became of the only path.
pub(super) async fn commit_one(db: &Subject, commit: &Commit) -> PathOutcome {
    let outcomes = db.commit(commit).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes[0]
}

/// Pushes the path `name`, which nobody has seen before.
pub(super) async fn push(db: &Subject, cache: CacheId, name: &str) -> NarFile {
    assert_eq!(commit_one(db, &whole(cache, name)).await, PathOutcome::Created);
    db.find_nar_by_path(cache, &path_hash(name)).await.unwrap().unwrap()
}

/// Whether a cache shows the path `name`, on which all ways to ask must agree.
pub(super) async fn shows(db: &Subject, cache: CacheId, name: &str) -> bool {
    let hash = path_hash(name);
    let found = db.find_path(cache, &hash).await.unwrap().is_some();
    assert_eq!(db.find_nar_by_path(cache, &hash).await.unwrap().is_some(), found);
    assert_eq!(db.missing_paths(cache, &[hash]).await.unwrap().is_empty(), found);
    found
}

/// Commits what must be refused, and makes sure that nothing of it stays.
pub(super) async fn refused(db: &Subject, commit: &Commit) -> CommitError {
    let before: Totals = db.totals().await.unwrap();
    let error = db.commit(commit).await.unwrap_err();
    assert_eq!(db.totals().await.unwrap(), before, "a refused commit left something behind");
    error
}
