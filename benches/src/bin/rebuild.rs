//! How long an index takes to be made anew, and how much memory: `rebuild PACKS PATHS-IN-EACH`.
//!
//! Makes a folder of packs, each with that many paths of one chunk, and rebuilds an index in SQLite from it. Only the tails are read,
//! so the frames are of no consequence, and short.

use std::{path::Path, sync::Arc, time::Instant};

use database::{Database, NewChunk, PackName};
use formats::{FileHash, NarHash, StorePath, StorePathHash};
use protocol::{ChunkHash, Manifest, ManifestEntry, SystemClock};
use server::{
    pack::{self, CacheRecord, CacheState, Layout, NarRecord, PathRecord, Record, Stamp},
    rebuild::{Options, rebuild},
};
use storage::{LocalStorage, Storage};

const FRAME: [u8; 16] = [7; 16];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let packs = numbers.next().ok_or("how many packs?")??;
    let paths = numbers.next().ok_or("how many paths in each?")??;
    let folder = std::env::temp_dir().join(format!("flywheel-rebuild-{}", std::process::id()));
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(folder.join("store")).await?);
    let state = CacheState {
        is_public: true,
        store_dir: "/nix/store".to_owned(),
        priority: 41,
        upstream_key_names: Vec::new(),
        retention: None,
        keys: Vec::new(),
        promotion_keys: Vec::new(),
        max_size: None,
        quota: None,
        is_read_only: false,
        pins: Vec::new(),
    };
    let cache = Record::Cache(CacheRecord { name: "main".to_owned(), state: Some(state) });
    storage.put(&pack::records_key(PackName([0; 16])), pack::of_records(Stamp(1), [cache])).await?;
    for number in 0..packs {
        put_pack(&*storage, number, paths).await?;
    }
    println!("{packs} packs with {} paths are made; memory {} MB", packs * paths, peak());

    let database: Arc<dyn Database> = Arc::new(sqlite::SqliteDatabase::open(folder.join("index.sqlite")).await?);
    let options = Options { resume: false, verify: false, scratch: folder.clone() };
    let begun = Instant::now();
    let report = rebuild(storage, database, None, &SystemClock, options, &mut |_| ()).await?;
    println!("rebuilt {} paths in {:.1} s; memory {} MB", report.paths, begun.elapsed().as_secs_f64(), peak());
    assert_eq!((report.paths, report.hidden_paths.count), (packs * paths, 0));
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn put_pack(storage: &dyn Storage, number: u64, paths: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut layout = Layout::new();
    let mut body = pack::MAGIC.to_vec();
    let mut records = Vec::new();
    for path in 0..paths {
        let name = format!("{number}/{path}");
        let hash = ChunkHash::of(name.as_bytes());
        layout.append(hash, 1000, &FRAME, None);
        body.extend_from_slice(&FRAME);
        let check = layout.chunks.last().map_or(0, |chunk: &NewChunk| chunk.check);
        let nar_hash = NarHash::digest_of(name.as_bytes());
        let nar_size = 1000;
        let nar = NarRecord {
            nar_hash,
            nar_size,
            file_hash: FileHash::digest_of(name.as_bytes()),
            file_size: FRAME.len() as u64,
            manifest: Manifest(vec![ManifestEntry { hash, size: 1000 }]),
            listing: None,
            checks: Some(vec![check]),
            at: Some(5),
        };
        let hash_part = StorePathHash::from_bytes(*hash.as_bytes().first_chunk().ok_or("short")?);
        records.push(Record::Nar(nar));
        records.push(Record::Path(PathRecord {
            cache: "main".to_owned(),
            store_dir: "/nix/store".to_owned(),
            path: StorePath::new(hash_part, "a-path-with-a-name-1.0".parse()?).to_string(),
            nar_hash: nar_hash.to_string(),
            nar_size,
            references: Vec::new(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
            extra: Vec::new(),
            pushed_by: None,
            at: 5,
        }));
    }
    let (trailer, _) = layout.trailer(Stamp(10 + number), records);
    body.extend_from_slice(&trailer);
    let mut name = [0; 16];
    name[..8].copy_from_slice(&ChunkHash::of(&number.to_le_bytes()).as_bytes()[..8]);
    name[8..].copy_from_slice(&number.to_le_bytes());
    storage.put(&pack::key(PackName(name)), body.into()).await?;
    Ok(())
}

/// The most memory that this process has had, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1000
}
