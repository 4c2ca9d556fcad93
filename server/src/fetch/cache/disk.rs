//! Frames as files of their own, and a thread that writes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use database::ChunkLocation;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::{Name, count, entries, is_whole};
use crate::metrics as names;

/// How many bytes wait to be written; what comes beyond is not kept.
const WAITING_BYTES: usize = 32 << 20;
/// What a file takes at least.
const BLOCK: u64 = 4096;

/// The length of every file that is there, as far as is known.
type Files = Cache<Name, u32, ByBlocks, DefaultHashBuilder, Remover>;

#[derive(Debug)]
pub(super) struct Disk {
    folder: Arc<Path>,
    files: Arc<Files>,
    writer: mpsc::Sender<(Name, Bytes)>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
struct ByBlocks;

impl Weighter<Name, u32> for ByBlocks {
    fn weight(&self, _: &Name, length: &u32) -> u64 {
        u64::from(*length).next_multiple_of(BLOCK).max(BLOCK)
    }
}

/// Removes the files of what falls out.
#[derive(Debug, Clone)]
struct Remover(Arc<Path>);

impl Lifecycle<Name, u32> for Remover {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, (): &mut (), name: Name, _: u32) {
        // One that cannot be removed is counted again at the next start.
        let _ = fs::remove_file(name.path(&self.0));
    }
}

impl Name {
    /// A folder for each 256th of the packs, so that none grows without bound.
    fn path(&self, folder: &Path) -> PathBuf {
        let pack = HEXLOWER.encode(&self.pack);
        folder.join(&pack[..2]).join(format!("{pack}-{:x}", self.offset))
    }

    fn parse(file: &str) -> Option<Self> {
        let (pack, offset) = file.split_once('-')?;
        let pack = HEXLOWER.decode(pack.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { pack, offset: u64::from_str_radix(offset, 16).ok()? })
    }
}

impl Disk {
    pub(super) fn open(folder: PathBuf, bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let folder: Arc<Path> = folder.into();
        // One shard: else each would have a part of the bytes, which a large frame may not fit into.
        let mut options = OptionsBuilder::new();
        options.shards(1).estimated_items_capacity(entries(bytes)).weight_capacity(bytes);
        let options = options.build().map_err(io::Error::other)?;
        let remover = Remover(Arc::clone(&folder));
        let files = Arc::new(Files::with_options(options, ByBlocks, DefaultHashBuilder::default(), remover));
        for shelf in fs::read_dir(&folder)? {
            for file in fs::read_dir(shelf?.path()).into_iter().flatten() {
                let file = file?;
                let length = file.metadata().ok().and_then(|about| u32::try_from(about.len()).ok());
                match (file.file_name().to_str().and_then(Name::parse), length) {
                    (Some(name), Some(length)) => files.insert(name, length),
                    // Half-written, by a run that was killed.
                    _ => drop(fs::remove_file(file.path())),
                }
            }
        }
        let (writer, frames) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (to, known, left) = (Arc::clone(&folder), Arc::clone(&files), Arc::clone(&waiting));
        // It ends with the last clone of the cache.
        std::thread::Builder::new()
            .name("read-cache".to_owned())
            .spawn(move || write_all(&to, &known, &frames, &left))?;
        Ok(Self { folder, files, writer, waiting })
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        self.files.contains_key(name)
    }

    /// The first of these frames, for as long as each is here and whole.
    pub(super) async fn get(&self, chunks: &[ChunkLocation]) -> Vec<Bytes> {
        let here = |chunk: &&ChunkLocation| self.files.get(&Name::of(chunk)).is_some();
        let chunks: Vec<ChunkLocation> = chunks.iter().take_while(here).copied().collect();
        if chunks.is_empty() {
            return Vec::new();
        }
        let (folder, files) = (Arc::clone(&self.folder), Arc::clone(&self.files));
        let read = move || chunks.iter().map_while(|chunk| read(&folder, &files, chunk)).collect::<Vec<_>>();
        let frames = tokio::task::spawn_blocking(read).await.unwrap_or_default();
        count("disk", &frames);
        frames
    }

    pub(super) fn keep(&self, name: Name, frame: &Bytes) {
        if self.waiting.fetch_add(frame.len(), Ordering::Relaxed) > WAITING_BYTES {
            self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
            return;
        }
        // If the thread is gone nothing is kept any more, which is all the harm.
        let _ = self.writer.send((name, Bytes::copy_from_slice(frame)));
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }
}

fn read(folder: &Path, files: &Files, chunk: &ChunkLocation) -> Option<Bytes> {
    let name = Name::of(chunk);
    let path = name.path(folder);
    let read = fs::read(&path);
    if let Ok(frame) = read
        && is_whole(chunk, &frame)
    {
        return Some(frame.into());
    }
    // Somebody has tidied up, or the disk is failing.
    if fs::remove_file(path).is_ok() {
        metrics::counter!(names::READ_CACHE_DAMAGED).increment(1);
        tracing::warn!(pack = %chunk.pack, offset = chunk.offset, "a frame in the read cache is damaged; it is read from the storage");
    }
    files.remove(&name);
    None
}

/// Writes what comes, one after the other: so no frame that is here is put in its own place, which would remove it.
fn write_all(folder: &Path, files: &Files, frames: &mpsc::Receiver<(Name, Bytes)>, waiting: &AtomicUsize) {
    for (name, frame) in frames {
        if let Ok(length) = u32::try_from(frame.len())
            && !files.contains_key(&name)
        {
            match write(&name.path(folder), &frame) {
                Ok(()) => files.insert(name, length),
                Err(error) => tracing::debug!(%error, "a frame could not be kept in the read cache"),
            }
        }
        waiting.fetch_sub(frame.len(), Ordering::Release);
    }
}

/// Not synced: what a crash loses or damages is read from the storage again.
fn write(path: &Path, frame: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("part");
    let write = || {
        fs::write(&unfinished, frame)?;
        fs::rename(&unfinished, path)
    };
    write().or_else(|_| {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        write()
    })
}
