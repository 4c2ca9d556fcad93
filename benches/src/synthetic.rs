//! An index made up: many paths that refer to each other and share chunks, whose packs are objects of the right length without
//! contents.

use std::{fs, path::Path};

use anyhow::Context;
use database::{CacheId, ChunkId, ChunkPointer, Commit, Database, NewChunk, NewNar, NewPack, NewPath, PackName};
use formats::{FileHash, NarHash, PathInfo, StorePath, StorePathHash};
use protocol::{ChunkHash, Clock, SystemClock};

/// How many paths go into one commit, and their chunks into one pack.
const BATCH: u64 = 1000;
/// How many chunks of its own a path has; the others it shares with paths from before.
const OWN_CHUNKS: u64 = 4;
const FRAME_BYTES: u32 = 60_000;
const CHUNK_BYTES: u32 = 150_000;

/// What is to be made up.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many paths.
    pub paths: u64,
    /// Of how many chunks each NAR consists.
    pub chunks_each: u64,
    /// How many paths each path refers to.
    pub references_each: u64,
}

/// Fills an index that has nothing but this cache, and `objects`, the folder with the storage's objects.
///
/// # Errors
/// The index or the folder fails.
pub async fn fill(database: &dyn Database, cache: CacheId, objects: &Path, shape: Shape) -> anyhow::Result<()> {
    let mut chance = Chance(1);
    let mut chunks = 0_u64;
    let mut done = 0;
    while done < shape.paths {
        let paths = done..shape.paths.min(done + BATCH);
        let mut new: Vec<NewChunk> = Vec::new();
        let mut commit = Commit::default();
        for number in paths.clone() {
            let own = OWN_CHUNKS.min(shape.chunks_each);
            let mut manifest = Vec::new();
            for at in 0..shape.chunks_each {
                if at < own || chunks == 0 {
                    let hash = ChunkHash::of(&[number.to_le_bytes(), at.to_le_bytes()].concat());
                    let offset = 8 + new.len() as u64 * u64::from(FRAME_BYTES);
                    new.push(NewChunk {
                        hash,
                        offset,
                        stored_size: FRAME_BYTES,
                        size: CHUNK_BYTES,
                        check: 0,
                        cache: None,
                    });
                    manifest.push(ChunkPointer::New(hash));
                } else {
                    // Rows of an index that nothing was removed from follow each other from 1 on.
                    let id = 1 + chance.below(chunks);
                    manifest.push(ChunkPointer::Known(ChunkId(i64::try_from(id)?)));
                }
            }
            let nar_hash = NarHash::digest_of(&number.to_le_bytes());
            let nar_size = shape.chunks_each * u64::from(CHUNK_BYTES);
            let now = SystemClock.now();
            commit.nars.push(NewNar {
                nar_hash,
                nar_size,
                file_hash: FileHash::digest_of(nar_hash.as_bytes()),
                file_size: shape.chunks_each * u64::from(FRAME_BYTES),
                manifest,
                listing: None,
                now,
            });
            let references = (0..shape.references_each).filter(|_| number > 0).map(|_| path(chance.below(number)));
            let info = PathInfo {
                path: path(number)?,
                nar_hash,
                nar_size,
                references: references.collect::<anyhow::Result<_>>()?,
                deriver: None,
                signatures: std::collections::BTreeSet::default(),
                ca: None,
            };
            commit.paths.push(NewPath { cache, info, extra: Vec::new(), pushed_by: None, now });
        }
        chunks += new.len() as u64;
        let name = PackName(*ChunkHash::of(&done.to_le_bytes()).as_bytes().first_chunk().context("a hash is longer")?);
        let size = 8 + new.len() as u64 * u64::from(FRAME_BYTES) + 1000;
        let place = objects.join(server::pack::key(name).to_string());
        fs::create_dir_all(place.parent().context("a key has a folder")?)?;
        fs::File::create(&place)?.set_len(size)?;
        commit.packs.push(NewPack { name, size, chunks: new });
        database.commit(&commit).await?;
        done = paths.end;
    }
    Ok(())
}

/// Path number so and so.
///
/// # Errors
/// Never: the name is one that a path may have.
pub fn path(number: u64) -> anyhow::Result<StorePath> {
    let hash = ChunkHash::of(&number.to_be_bytes());
    let hash = StorePathHash::from_bytes(*hash.as_bytes().first_chunk().context("a hash is longer")?);
    Ok(StorePath::new(hash, format!("a-package-with-a-name-{number}").parse()?))
}

/// Numbers that look like chance, the same ones each time.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below this one, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // Steele's mixing of a counter (SplitMix64).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
