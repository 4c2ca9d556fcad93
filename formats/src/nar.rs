//! NARs: Nix's archive of one file, symbolic link or directory tree.
//!
//! A NAR is a row of strings, each an eight-byte little-endian length, the bytes, and zeros up to the next multiple of
//! eight:
//!
//! ```text
//! nar       = "nix-archive-1" node
//! node      = "(" "type" ( regular | symlink | directory ) ")"
//! regular   = "regular" [ "executable" "" ] "contents" <bytes>
//! symlink   = "symlink" "target" <bytes>
//! directory = "directory" { "entry" "(" "name" <bytes> "node" node ")" }
//! ```
//!
//! with the names of a directory strictly ascending, byte by byte. A tree has exactly one such row: [`Reader`] accepts
//! nothing else, so that what it accepts is what [`Writer`] writes for the same tree.

mod framing;
mod listing;
mod reader;
mod writer;

use thiserror::Error;

pub use listing::{Listing, ListingBuilder, Node};
pub use reader::Reader;
pub use writer::Writer;

/// What a NAR says next. Each borrows the input, or the reader when it was split between two inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A directory begins.
    Directory,
    /// The innermost open directory has an entry, which is described next.
    Entry {
        /// Its name: 1 to 255 bytes, no slash, no NUL, neither `.` nor `..`.
        name: &'a [u8],
    },
    /// The innermost open directory ends.
    EndDirectory,
    /// A regular file begins.
    Regular {
        /// Whether it can be run.
        executable: bool,
        /// The length of its contents.
        size: u64,
        /// Where its contents begin, from the start of the NAR.
        offset: u64,
    },
    /// A piece of the open file's contents, never empty.
    Contents(&'a [u8]),
    /// The open file has been given whole.
    EndRegular,
    /// A symbolic link.
    Symlink {
        /// What it points at: not empty, no NUL.
        target: &'a [u8],
    },
}

/// How large the parts of a NAR may be that the reader has to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest name; file systems take 255 bytes.
    pub name: usize,
    /// The longest target of a symbolic link; file systems take 4095 bytes.
    pub target: usize,
    /// The most directories in one another.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { name: 255, target: 4096, depth: 256 }
    }
}

/// The bytes are not a NAR, or none that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {position} of the NAR: {kind}")]
pub struct Error {
    /// Where, from the start of the NAR: the first wrong byte, or the start of the wrong string.
    pub position: u64,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What is wrong with a NAR.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another word than the grammar has.
    #[error("expected {what}")]
    Expected {
        /// What the grammar has here.
        what: &'static str,
    },
    /// A name is longer than the limit.
    #[error("a name of {length} bytes is longer than {limit}")]
    NameTooLong {
        /// The length that the NAR gives.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// A name that no file can have.
    #[error("a name is empty, '.' or '..', or has a slash or NUL")]
    BadName,
    /// A name does not come after the one before it.
    #[error("the names of a directory are not strictly ascending")]
    NotAscending,
    /// A target is longer than the limit.
    #[error("a symbolic link's target of {length} bytes is longer than {limit}")]
    TargetTooLong {
        /// The length that the NAR gives.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// A target that no symbolic link can have.
    #[error("a symbolic link's target is empty or has a NUL")]
    BadTarget,
    /// Too many directories in one another.
    #[error("more than {limit} directories in one another")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A file so long that the NAR would have 2^63 bytes or more.
    #[error("a file of {size} bytes is beyond any NAR")]
    ContentsTooLong {
        /// The length that the NAR gives.
        size: u64,
    },
    /// The bytes that fill up a string are not all zero.
    #[error("padding is not zero")]
    Padding,
    /// There is more after the end.
    #[error("bytes follow the end")]
    Trailing,
    /// The input ends before the NAR does.
    #[error("the input ends here, the NAR does not")]
    Truncated,
}

#[cfg(test)]
mod tests;
