//! `nix-cache-info`: what a binary cache says about itself.

use thiserror::Error;

use crate::store_dir::{StoreDir, StoreDirError};

/// The longest `nix-cache-info` that is read; real ones have under 100 bytes.
pub const MAX_CACHE_INFO_BYTES: usize = 64 << 10;

/// Why a text is not a `nix-cache-info`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CacheInfoError {
    /// It is longer than any real one.
    #[error("a nix-cache-info of {bytes} bytes is longer than {max}", max = MAX_CACHE_INFO_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// `StoreDir` is no store directory.
    #[error("StoreDir of the nix-cache-info is not valid")]
    StoreDir(#[source] StoreDirError),
    /// `Priority` is no integer, which ends every newer Nix that reads it.
    #[error("Priority of the nix-cache-info is not an integer")]
    Priority,
}

/// The contents of `nix-cache-info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// The store that all paths are for; a client with another one refuses the cache.
    pub store_dir: StoreDir,
    /// Whether clients may ask for many paths at once just to know what there is.
    pub want_mass_query: bool,
    /// Lower is asked first; cache.nixos.org has 40.
    pub priority: i32,
}

impl CacheInfo {
    /// Reads what a cache says, as leniently as Nix does.
    ///
    /// Lines without a colon and unknown keys are skipped; what is missing has Nix's default (`/nix/store`, no, 0).
    pub fn parse(text: &str) -> Result<Self, CacheInfoError> {
        if text.len() > MAX_CACHE_INFO_BYTES {
            return Err(CacheInfoError::TooLong { bytes: text.len() });
        }
        let mut info = Self { store_dir: StoreDir::default(), want_mass_query: false, priority: 0 };
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key {
                "StoreDir" => info.store_dir = value.parse().map_err(CacheInfoError::StoreDir)?,
                "WantMassQuery" => info.want_mass_query = value == "1",
                "Priority" => info.priority = value.parse().map_err(|_| CacheInfoError::Priority)?,
                _ => {}
            }
        }
        Ok(info)
    }

    /// Writes the three keys in Nix's order.
    pub fn render(&self) -> String {
        format!(
            "StoreDir: {}\nWantMassQuery: {}\nPriority: {}\n",
            self.store_dir,
            u8::from(self.want_mass_query),
            self.priority
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let text = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n";
        let info = CacheInfo::parse(text).unwrap();
        assert_eq!(info, CacheInfo { store_dir: StoreDir::default(), want_mass_query: true, priority: 41 });
        assert_eq!(info.render(), text);
    }

    #[test]
    fn is_as_lenient_as_nix() {
        let info =
            CacheInfo::parse("junk\r\nStoreDir:/x/y\r\nBloomFilter: a:b\nWantMassQuery: true\nPriority:\t-5").unwrap();
        assert_eq!(info, CacheInfo { store_dir: "/x/y".parse().unwrap(), want_mass_query: false, priority: -5 });
        assert_eq!(CacheInfo::parse("").unwrap().priority, 0);
    }

    #[test]
    fn refuses() {
        for text in ["Priority:", "Priority: high", "Priority: 4000000000", "Priority: 1.5"] {
            assert_eq!(CacheInfo::parse(text), Err(CacheInfoError::Priority), "{text}");
        }
        assert!(matches!(CacheInfo::parse("StoreDir: nix/store"), Err(CacheInfoError::StoreDir(_))));
        let bytes = MAX_CACHE_INFO_BYTES + 1;
        assert_eq!(CacheInfo::parse(&"x".repeat(bytes)), Err(CacheInfoError::TooLong { bytes }));
    }
}
