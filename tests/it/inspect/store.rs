//! A store on the disk, to be looked into and damaged.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use server::pack::{FOOTER_BYTES, Footer, Record};

use crate::harness::Server;

/// A pack as a file, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Pack {
    pub(super) file: PathBuf,
    pub(super) size: u64,
    /// Where each frame begins and ends.
    pub(super) frames: Vec<(u64, u64)>,
    /// Where the trailer begins.
    pub(super) trailer: u64,
}

impl Pack {
    /// Reads a pack that is whole.
    fn open(file: PathBuf) -> Self {
        let bytes = fs::read(&file).unwrap();
        let footer = Footer::decode(&bytes[bytes.len() - FOOTER_BYTES..]).unwrap();
        let start = usize::try_from(footer.offset).unwrap();
        let records = footer.records(&bytes[start..bytes.len() - FOOTER_BYTES]).unwrap();
        let frames = records.into_iter().filter_map(|record| match record {
            Record::Chunk(chunk) => Some((chunk.offset, chunk.offset + u64::from(chunk.stored_size))),
            _ => None,
        });
        Self { size: bytes.len() as u64, frames: frames.collect(), trailer: footer.offset, file }
    }

    /// Its name, as reports have it.
    pub(super) fn name(&self) -> String {
        self.file.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Changes one bit.
    pub(super) fn flip(&self, at: u64, bit: u8) {
        let file = File::options().read(true).write(true).open(&self.file).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found.sort();
    found
}

/// Every pack that has frames, the largest first.
pub(super) fn packs(server: &Server) -> Vec<Pack> {
    let all = files(&server.data_dir().join("store/objects/packs")).into_iter().map(Pack::open);
    let mut packs: Vec<Pack> = all.filter(|pack| !pack.frames.is_empty()).collect();
    packs.sort_by_key(|pack| std::cmp::Reverse(pack.size));
    packs
}

/// Every object that has records only.
pub(super) fn records(server: &Server) -> Vec<Pack> {
    files(&server.data_dir().join("store/objects/records")).into_iter().map(Pack::open).collect()
}

/// Copies a folder with all that is in it, in place of what is there.
pub(super) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

/// Changes the index with SQL, past everything that would refuse to.
pub(super) fn sql(server: &Server, statement: &str) {
    let index = server.data_dir().join("index.sqlite");
    let done =
        Command::new("sqlite3").arg(index).arg(format!("PRAGMA foreign_keys = OFF; {statement}")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
