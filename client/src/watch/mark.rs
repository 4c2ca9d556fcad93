//! Up to when the store has been looked through.
//!
//! A watcher that is killed leaves its mark behind, and the next one looks at everything that was registered since. One that
//! ends as it was told takes it away: what is built afterwards is nobody's to push.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use protocol::Timestamp;

use super::queue::read_small;

/// The file with the mark.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

impl Mark {
    /// The mark of the queue in `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.join("seen"))
    }

    /// The mark that a killed watcher left. One that cannot be read counts as none.
    pub(super) fn read(&self) -> io::Result<Option<Timestamp>> {
        Ok(read_small(&self.0)?.and_then(|text| text.trim().parse().ok()).map(Timestamp))
    }

    /// Everything that was registered before `seen` has been looked at.
    pub(super) fn set(&self, seen: Timestamp) -> io::Result<()> {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{}\n", seen.0))?;
        fs::rename(new, &self.0)
    }

    /// The watcher ends as it should.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_set_read_and_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::of(folder.path());
        assert_eq!(mark.read().unwrap(), None);
        mark.clear().unwrap();
        mark.set(Timestamp(7)).unwrap();
        mark.set(Timestamp(8)).unwrap();
        assert_eq!(Mark::of(folder.path()).read().unwrap(), Some(Timestamp(8)));
        mark.clear().unwrap();
        assert_eq!(mark.read().unwrap(), None);
    }
}
