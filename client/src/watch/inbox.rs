//! Where others put paths for a watcher, whether one runs or not.
//!
//! Each delivery is a file of its own that appears in one step, so that nobody needs a lock and nobody waits: a hook of the
//! build must neither fail nor delay it.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use formats::StorePath;

use super::queue::make_folder;

const FOLDER: &str = "inbox";
/// What a delivery is called before it is whole.
const HALF: &str = "half-";

/// Puts `paths` into the queue in `folder`; once this returns they survive a crash.
///
/// # Errors
/// They cannot be written.
pub fn deliver(folder: &Path, paths: &[StorePath]) -> io::Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let inbox = folder.join(FOLDER);
    make_folder(&inbox)?;
    let name = format!("{:016x}", rand::random::<u64>());
    let half = inbox.join(format!("{HALF}{name}"));
    // The hook may run as root for a watcher that does not.
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(&half)?;
    let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(half, inbox.join(name))?;
    File::open(inbox)?.sync_all()
}

/// The watcher's end.
#[derive(Debug)]
pub(super) struct Inbox(PathBuf);

/// What was found in the inbox, which stays there until it is [`taken`](Delivery::taken).
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) paths: Vec<StorePath>,
    files: Vec<PathBuf>,
}

impl Inbox {
    /// The inbox of the queue in `folder`, made if it is not there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let inbox = folder.join(FOLDER);
        make_folder(&inbox)?;
        Ok(Self(inbox))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Everything that lies there. Lines that are no store paths are left out.
    pub(super) fn look(&self) -> io::Result<Delivery> {
        let mut delivery = Delivery::default();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
            delivery.paths.extend(text.lines().filter_map(|line| line.parse::<StorePath>().ok()));
            delivery.files.push(entry.path());
        }
        Ok(delivery)
    }
}

impl Delivery {
    /// The paths are in the queue, so the files can go.
    pub(super) fn taken(&self) -> io::Result<()> {
        self.files.iter().try_for_each(fs::remove_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    #[test]
    fn what_is_delivered_stays_until_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        deliver(folder.path(), &[]).unwrap();
        assert!(!folder.path().join(FOLDER).exists());
        deliver(folder.path(), &[path("a"), path("b")]).unwrap();
        deliver(folder.path(), &[path("c")]).unwrap();
        let inbox = Inbox::open(folder.path()).unwrap();
        fs::write(inbox.folder().join(format!("{HALF}1")), "cut off").unwrap();
        fs::write(inbox.folder().join("strange"), b"\xff\n/etc/passwd\n").unwrap();
        let mut found = inbox.look().unwrap();
        found.paths.sort();
        assert_eq!(found.paths, [path("a"), path("b"), path("c")]);
        assert_eq!(inbox.look().unwrap().paths.len(), 3);
        found.taken().unwrap();
        assert!(inbox.look().unwrap().paths.is_empty());
    }
}
