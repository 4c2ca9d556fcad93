//! Contents of files, any number of bytes of them: those of real files one after the other, or made up.

use std::{fs::File, io::Read, path::PathBuf};

use anyhow::Context;

use crate::sets::DataSet;

/// Bytes without an end.
#[derive(Debug)]
pub enum Contents {
    /// Compress about as programs do.
    MadeUp(u64),
    /// Of these files, again and again.
    Of {
        /// The files.
        files: Vec<PathBuf>,
        /// How many were begun.
        next: usize,
        /// What is read at the moment.
        open: Option<File>,
    },
}

impl Contents {
    /// The contents of all regular files of the sets' paths; made up if there are none.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn of(sets: &[DataSet]) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for path in sets.iter().flat_map(|set| &set.paths) {
            files_below(PathBuf::from(path), &mut files)?;
        }
        Ok(if files.is_empty() { Self::MadeUp(1) } else { Self::Of { files, next: 0, open: None } })
    }

    /// The next so many bytes.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn take(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length + 8);
        match self {
            Self::MadeUp(state) => {
                while bytes.len() < length {
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    // Of four words, one is noise and three are from a small vocabulary, as in machine code and tables.
                    let common = (*state >> 8 & 0xff).wrapping_mul(0x0101_0203_0005_0007);
                    bytes.extend_from_slice(&if *state & 3 == 0 { *state } else { common }.to_le_bytes());
                }
                bytes.truncate(length);
            }
            Self::Of { files, next, open } => {
                let mut empty = 0;
                while bytes.len() < length {
                    let file = match open {
                        Some(file) => file,
                        None => {
                            let path = &files[*next % files.len()];
                            *next += 1;
                            open.insert(File::open(path).with_context(|| format!("cannot read {}", path.display()))?)
                        }
                    };
                    let more = file.take((length - bytes.len()) as u64).read_to_end(&mut bytes)?;
                    empty = if more == 0 { empty + 1 } else { 0 };
                    anyhow::ensure!(empty <= files.len(), "the files are empty");
                    if bytes.len() < length {
                        *open = None;
                    }
                }
            }
        }
        Ok(bytes)
    }
}

fn files_below(path: PathBuf, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let kind = path.symlink_metadata().with_context(|| format!("cannot read {}", path.display()))?.file_type();
    if kind.is_file() {
        files.push(path);
    } else if kind.is_dir() {
        let mut entries: Vec<_> = path.read_dir()?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        entries.sort();
        entries.into_iter().try_for_each(|entry| files_below(entry, files))?;
    }
    Ok(())
}
