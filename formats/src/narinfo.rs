//! Narinfos: a path info and where its NAR can be had.

mod compression;
mod parse;

use std::fmt::{Display, Write as _};

use crate::hash::FileHash;
use crate::path_info::PathInfo;
use crate::store_dir::StoreDir;

pub use compression::{Compression, UnknownCompression};
pub use parse::{FieldError, NarInfoError};

/// The longest narinfo that is read; real ones rarely reach 10 KiB.
pub const MAX_NARINFO_BYTES: usize = 1 << 20;

/// What a binary cache serves as `<hash>.narinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// What is true of the path in any store.
    pub info: PathInfo,
    /// Where the NAR lies, relative to the cache.
    pub url: String,
    /// How the NAR at that URL is compressed.
    pub compression: Compression,
    /// The hash of the NAR as it lies there, compressed.
    pub file_hash: Option<FileHash>,
    /// The length of the NAR as it lies there, compressed.
    pub file_size: Option<u64>,
    /// Keys that Nix skips, as they were found.
    pub extra: Vec<(String, String)>,
}

impl NarInfo {
    /// Reads a narinfo, never more leniently than Nix does.
    ///
    /// Whatever this accepts, every Nix reads too, and as the same: a key given twice, a value that does not stand one
    /// space after its colon, and control characters are refused, where Nix would skip or misread some of them.
    pub fn parse(store_dir: &StoreDir, text: impl AsRef<[u8]>) -> Result<Self, NarInfoError> {
        parse::parse(store_dir, text.as_ref())
    }

    /// Writes the narinfo, byte for byte as Nix does; unknown keys follow at the end.
    ///
    /// The text parses again whatever the fields hold: in the two that are free text, control characters and spaces of
    /// the URL are percent-encoded, control characters of extra values become spaces, and an extra key that could not
    /// be read back, or that would be read as one of Nix's own, is left out.
    pub fn render(&self, store_dir: &StoreDir) -> String {
        let mut text = String::with_capacity(512 + 64 * self.info.references.len());
        let mut line = |key: &str, value: &dyn Display| {
            let _ = writeln!(text, "{key}: {value}");
        };
        line("StorePath", &store_dir.join(&self.info.path));
        line("URL", &printable_url(&self.url));
        line("Compression", &self.compression);
        if let Some(file_hash) = &self.file_hash {
            line("FileHash", file_hash);
        }
        if let Some(file_size) = &self.file_size {
            line("FileSize", file_size);
        }
        line("NarHash", &self.info.nar_hash);
        line("NarSize", &self.info.nar_size);
        line("References", &References(self));
        if let Some(deriver) = &self.info.deriver {
            line("Deriver", deriver);
        }
        for signature in &self.info.signatures {
            line("Sig", signature);
        }
        if let Some(ca) = &self.info.ca {
            line("CA", ca);
        }
        for (key, value) in &self.extra {
            if parse::is_extra_key(key) {
                line(key, &value.replace(char::is_control, " "));
            }
        }
        text
    }
}

/// The references, with the space between them that Nix puts there.
struct References<'a>(&'a NarInfo);

impl Display for References<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, reference) in self.0.info.references.iter().enumerate() {
            write!(f, "{}{reference}", if at > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

fn printable_url(url: &str) -> String {
    let mut text = String::with_capacity(url.len());
    for c in url.chars() {
        if parse::is_url_char(c) {
            text.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
