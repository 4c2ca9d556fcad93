//! Reads and replaces small files that belong to the user.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::output::{ExitStatus, Failure};

/// The text of a file; nothing if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(ExitStatus::Failed, format!("cannot read {}: {error}", path.display()))),
    }
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// Only its owner: it holds tokens.
    Secret,
    /// Whoever the umask lets.
    Plain,
}

/// Puts `text` into `path` in one step, so that nobody ever sees half of it; makes the folders above it.
///
/// A link stays a link: what it points at is replaced.
pub(crate) fn write(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), Failure> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&target, text, secrecy).map_err(|error| {
        let failure = Failure::new(ExitStatus::Failed, format!("cannot write {}: {error}", target.display()));
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                failure.hint("is the file managed by something else, such as home-manager?")
            }
            _ => failure,
        }
    })
}

fn replace(path: &Path, text: &str, secrecy: Secrecy) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new: PathBuf = folder.join(name);
    let mode = match secrecy {
        Secrecy::Secret => 0o600,
        Secrecy::Plain => 0o666,
    };
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        // The error that counts is the one we have.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_whatever_it_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/secret");
        write(&path, "one", Secrecy::Plain).unwrap();
        write(&path, "two", Secrecy::Secret).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        symlink("real", &link).unwrap();
        write(&link, "new", Secrecy::Plain).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(read(&folder.path().join("absent")).unwrap(), None);
    }
}
