//! How a NAR is compressed on the wire.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::serde_as_text;

/// A compression that Nix reads from every binary cache (`Zstd` since 2.4).
///
/// Nix also knows lz4, lzip and other formats of libarchive; nobody serves them, and old clients fail on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say all")]
pub enum Compression {
    None,
    Xz,
    Bzip2,
    Gzip,
    Zstd,
    Brotli,
}

/// The name is none that this crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the compression is none of none, xz, bzip2, gzip, zstd, br")]
pub struct UnknownCompression;

impl Compression {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::None, Self::Xz, Self::Bzip2, Self::Gzip, Self::Zstd, Self::Brotli];

    /// The name in narinfos and in Nix's settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    /// What follows `.nar` in a file name; clients never look at it.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Xz => ".xz",
            Self::Bzip2 => ".bz2",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        Self::ALL.into_iter().find(|compression| compression.name() == name).ok_or(UnknownCompression)
    }
}

serde_as_text!(Compression);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_suffixes() {
        for compression in Compression::ALL {
            assert_eq!(compression.name().parse(), Ok(compression));
        }
        for not_a_name in ["", "zst", "bz2", "gz", "brotli", "XZ", "lz4"] {
            assert_eq!(not_a_name.parse::<Compression>(), Err(UnknownCompression), "{not_a_name}");
        }
    }
}
