//! The file that holds the secret for tokens.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;

use crate::config::Secret;

/// The length of a secret that the server makes, in bytes.
const SECRET_BYTES: usize = 64;

/// A secret file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file {path} with the secret for tokens cannot be {verb}")]
pub struct SecretFileError {
    /// Which file.
    pub path: PathBuf,
    /// "read" or "made".
    verb: &'static str,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The secret in that file.
pub(super) fn read(path: &Path) -> Result<Secret, SecretFileError> {
    let text =
        fs::read_to_string(path).map_err(|source| SecretFileError { path: path.to_owned(), verb: "read", source })?;
    Ok(text.trim().to_owned().into())
}

/// The secret in that file, which is made with a fresh one if there is none.
///
/// Only its owner may read it. Of several processes that make it at once, all see the same secret.
pub(super) fn read_or_make(path: &Path) -> Result<Secret, SecretFileError> {
    // What cannot be looked at cannot be read either, and reading tells why.
    if let Ok(false) = fs::exists(path) {
        make(path).map_err(|source| SecretFileError { path: path.to_owned(), verb: "made", source })?;
    }
    read(path)
}

fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Written aside and linked into place whole; a link, unlike a rename, never replaces what another process has made.
    let aside = path.with_extension(format!("{:016x}.tmp", rand::random::<u64>()));
    let made = write_aside(&aside).and_then(|()| match fs::hard_link(&aside, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    });
    fs::remove_file(&aside).or_else(|e| if made.is_err() { Ok(()) } else { Err(e) })?;
    made?;
    File::open(folder)?.sync_all()
}

fn write_aside(path: &Path) -> io::Result<()> {
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", BASE64.encode(&secret))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/token-secret");
        assert!(read(&path).is_err());
        let secrets: HashSet<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| read_or_make(&path).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap().expose().to_owned()).collect()
        });
        assert_eq!(secrets.len(), 1);
        let secret = secrets.into_iter().next().unwrap();
        assert_eq!(BASE64.decode(secret.as_bytes()).unwrap().len(), SECRET_BYTES);
        assert_eq!(read(&path).unwrap().expose(), secret);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.path().join("data"))), (0o600, 0o700));
        assert_eq!(fs::read_dir(dir.path().join("data")).unwrap().count(), 1);
    }
}
