//! What lies in the store's folder.
//!
//! Nix puts a path there before it is valid and takes it away after, so the difference between two listings, together with
//! what was not valid before, is all that Nix has to be asked about. Listing a folder costs little; asking about every path of
//! a large store costs seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::Path,
};

use formats::StorePath;
use protocol::Timestamp;

use super::PathFilter;

/// What Nix calls the lock of a path that is being made.
const LOCK_SUFFIX: &str = ".lock";

/// The paths in the folder at some moment, by inode: a path that was deleted and made again is another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing(BTreeMap<StorePath, u64>);

impl Listing {
    /// Lists `folder`, without what `filter` leaves out.
    pub(super) fn read(folder: &Path, filter: PathFilter) -> io::Result<Self> {
        let mut paths = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(path) = parse(&entry.file_name(), filter) {
                paths.insert(path, entry.ino());
            }
        }
        Ok(Self(paths))
    }

    /// What is here and was not there in `before`, or was something else.
    pub(super) fn since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a StorePath> {
        self.0.iter().filter(|(path, inode)| before.0.get(*path) != Some(*inode)).map(|(path, _)| path)
    }

    /// Tells whether `path` is here.
    pub(super) fn has(&self, path: &StorePath) -> bool {
        self.0.contains_key(path)
    }
}

/// Those paths in `folder` that may have become valid at `since` or later, or may be about to.
///
/// Registration touches neither the path nor anything else that could be looked at, but it comes after the last change to the
/// path; `margin` is how much later at most.
pub(super) fn recent(
    folder: &Path,
    filter: PathFilter,
    since: Timestamp,
    margin: std::time::Duration,
) -> io::Result<BTreeSet<StorePath>> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(path) = parse_lock(&name, filter) {
            paths.insert(path);
        } else if let Some(path) = parse(&name, filter) {
            match entry.metadata() {
                Ok(metadata) if metadata.ctime() < since.minus(margin).0 => {}
                Ok(_) => drop(paths.insert(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(paths)
}

/// The store path that a file name is, unless it is left out.
pub(super) fn parse(name: &std::ffi::OsStr, filter: PathFilter) -> Option<StorePath> {
    let name = name.to_str().filter(|name| !name.ends_with(LOCK_SUFFIX))?;
    name.parse().ok().filter(|path| filter.takes(path))
}

/// The store path that a file name is the lock of, unless it is left out.
pub(super) fn parse_lock(name: &std::ffi::OsStr, filter: PathFilter) -> Option<StorePath> {
    let name = name.to_str()?.strip_suffix(LOCK_SUFFIX)?;
    name.parse().ok().filter(|path| filter.takes(path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::{Clock, SystemClock};

    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    fn write(folder: &Path, name: &str) {
        fs::write(folder.join(format!("{}-{name}", "a".repeat(32))), "").unwrap();
    }

    #[test]
    fn only_what_is_new_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["old", "old.drv", "again", "b.lock"] {
            write(folder, name);
        }
        for other in [".links", "not-a-path"] {
            fs::write(folder.join(other), "").unwrap();
        }
        let before = Listing::read(folder, PathFilter::default()).unwrap();
        assert!(before.has(&path("old")) && !before.has(&path("b")));
        write(folder, "new");
        write(folder, "new-source");
        write(folder, "replacement");
        fs::rename(folder.join(path("replacement").to_string()), folder.join(path("again").to_string())).unwrap();
        let after = Listing::read(folder, PathFilter::default()).unwrap();
        assert_eq!(after.since(&before).collect::<Vec<_>>(), [&path("again"), &path("new")]);
        assert_eq!(after.since(&after).count(), 0);
    }

    #[test]
    fn what_is_recent_or_being_made_is_looked_at_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["made", "making.lock", "made-source"] {
            write(folder.path(), name);
        }
        let now = SystemClock.now();
        let recent = |since| recent(folder.path(), PathFilter::default(), since, Duration::from_secs(60)).unwrap();
        assert_eq!(recent(now), [path("made"), path("making")].into());
        assert_eq!(recent(now.plus(Duration::from_secs(3600))), [path("making")].into());
    }
}
