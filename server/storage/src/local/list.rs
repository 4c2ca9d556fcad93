//! Listing: a walk through the directories, in the order of keys.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::mpsc;

use crate::{Error, Key, Result};

/// How many objects the walk may be ahead of its reader.
const AHEAD: usize = 256;

/// The objects below `root` whose keys start with `prefix`. The walk ends when the stream is dropped.
pub(super) fn stream(root: PathBuf, prefix: String) -> BoxStream<'static, Result<(Key, u64)>> {
    let start = move || {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let walk = Walk { prefix, sender };
            if let Err(Stop::Failed(e)) = walk.folder(&root, "") {
                let _ = walk.sender.blocking_send(Err(e));
            }
        });
        receiver
    };
    // The walk starts when the stream is first polled, and so within a runtime.
    let objects = stream::once(async move { start() });
    objects.flat_map(|receiver| stream::unfold(receiver, async |mut r| r.recv().await.map(|found| (found, r)))).boxed()
}

struct Walk {
    prefix: String,
    sender: mpsc::Sender<Result<(Key, u64)>>,
}

enum Stop {
    Failed(Error),
    /// Nobody listens any more.
    Dropped,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Walk {
    /// Walks through one directory; `base` is the key of the directory with a slash, or empty.
    fn folder(&self, path: &Path, base: &str) -> std::result::Result<(), Stop> {
        let entries = match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            let Ok(name) = entry.file_name().into_string() else { continue };
            // With its slash a directory sorts where its objects' keys do: `a-b` before `a/b`.
            let key = format!("{base}{name}{}", if is_folder { "/" } else { "" });
            let may_match = key.starts_with(&self.prefix) || (is_folder && self.prefix.starts_with(&key));
            if may_match {
                names.push((key, entry.path()));
            }
        }
        names.sort_unstable();
        for (key, path) in names {
            if key.ends_with('/') {
                self.folder(&path, &key)?;
            } else if let Ok(key) = key.parse::<Key>() {
                let length = match fs::metadata(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata?.len(),
                };
                self.sender.blocking_send(Ok((key, length))).map_err(|_| Stop::Dropped)?;
            }
        }
        Ok(())
    }
}
