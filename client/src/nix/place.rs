//! Where the store is: its paths' names, and the files behind them.

use std::path::{Path, PathBuf};

use formats::{StoreDir, StoreDirError, StorePath};
use percent_encoding::percent_decode_str;

/// The store dir and the folder that holds its contents on this machine.
///
/// They differ when Nix is told to use a store under another root, as `NIX_REMOTE=/mnt` or `NIX_REMOTE=local?root=/mnt` do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlace {
    store_dir: StoreDir,
    folder: PathBuf,
}

/// The environment names a store that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum StorePlaceError {
    /// No store dir.
    #[error("{text:?} is no store dir")]
    StoreDir {
        /// As given.
        text: String,
        /// What is wrong with it.
        source: StoreDirError,
    },
}

impl StorePlace {
    /// Reads the values of `NIX_STORE_DIR` and `NIX_REMOTE` as Nix does.
    ///
    /// # Errors
    /// The store dir is malformed.
    pub fn new(store_dir: Option<&str>, remote: Option<&str>) -> Result<Self, StorePlaceError> {
        let remote = remote.unwrap_or_default();
        let parameter = |name: &str| {
            let (_, query) = remote.split_once('?')?;
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        let text = parameter("store").or_else(|| store_dir.map(str::to_owned));
        let store_dir = match text {
            Some(text) => text.parse().map_err(|source| StorePlaceError::StoreDir { text, source })?,
            None => StoreDir::default(),
        };
        let root = if remote.starts_with('/') {
            Some(remote.split('?').next().unwrap_or(remote).to_owned())
        } else {
            parameter("root").filter(|_| remote.starts_with("local"))
        };
        let inside = store_dir.as_str().trim_start_matches('/');
        let folder = match (parameter("real").filter(|_| remote.starts_with("local")), root) {
            (Some(real), _) => PathBuf::from(real),
            (None, Some(root)) => Path::new(&root).join(inside),
            (None, None) => PathBuf::from(store_dir.as_str()),
        };
        Ok(Self { store_dir, folder })
    }

    /// The store dir that paths are named with.
    #[must_use]
    pub fn store_dir(&self) -> &StoreDir {
        &self.store_dir
    }

    /// The folder that holds the contents.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the contents of `path` lie.
    #[must_use]
    pub fn contents(&self, path: &StorePath) -> PathBuf {
        self.folder.join(path.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_nixs_settings() {
        let folder = |dir, remote| StorePlace::new(dir, remote).unwrap().folder().to_owned();
        assert_eq!(folder(None, None), Path::new("/nix/store"));
        assert_eq!(folder(None, Some("daemon")), Path::new("/nix/store"));
        assert_eq!(folder(Some("/gnu/store"), Some("")), Path::new("/gnu/store"));
        assert_eq!(folder(None, Some("/mnt/a")), Path::new("/mnt/a/nix/store"));
        assert_eq!(folder(None, Some("local?root=/mnt/a%20b")), Path::new("/mnt/a b/nix/store"));
        assert_eq!(folder(None, Some("local?store=/gnu/store&root=/m")), Path::new("/m/gnu/store"));
        assert_eq!(folder(None, Some("local?real=/srv/store")), Path::new("/srv/store"));
        assert!(StorePlace::new(Some("relative"), None).is_err());
    }
}
