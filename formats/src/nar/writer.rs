//! Writing NARs, without I/O.

use std::mem;

use super::framing::{self, words};

/// Frames a tree as a NAR, into a buffer that the caller takes as it likes.
///
/// Call in the order of the grammar, names ascending: the writer frames what it is told and checks nothing. Contents
/// need not pass through it: between [`Writer::regular_begin`] and [`Writer::regular_end`] they can go straight to
/// wherever the buffer goes.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts with an empty buffer.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Opens the NAR. A node follows.
    pub fn begin(&mut self) {
        self.bytes.extend_from_slice(words!["nix-archive-1"]);
    }

    /// Opens a directory. Entries follow.
    pub fn directory_begin(&mut self) {
        self.bytes.extend_from_slice(words!["(", "type", "directory"]);
    }

    /// Opens an entry. A node follows.
    pub fn entry_begin(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(words!["entry", "(", "name"]);
        self.string(name);
        self.bytes.extend_from_slice(words!["node"]);
    }

    /// Closes an entry.
    pub fn entry_end(&mut self) {
        self.bytes.extend_from_slice(framing::CLOSE);
    }

    /// Closes a directory.
    pub fn directory_end(&mut self) {
        self.bytes.extend_from_slice(framing::CLOSE);
    }

    /// Opens a file. Exactly `size` bytes of contents follow.
    pub fn regular_begin(&mut self, executable: bool, size: u64) {
        self.bytes.extend_from_slice(if executable {
            words!["(", "type", "regular", "executable", "", "contents"]
        } else {
            words!["(", "type", "regular", "contents"]
        });
        self.bytes.extend_from_slice(&size.to_le_bytes());
    }

    /// Appends contents, for callers that keep all in one buffer.
    pub fn contents(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Pads and closes a file of `size` bytes.
    pub fn regular_end(&mut self, size: u64) {
        self.pad(size);
        self.bytes.extend_from_slice(framing::CLOSE);
    }

    /// Writes a symbolic link.
    pub fn symlink(&mut self, target: &[u8]) {
        self.bytes.extend_from_slice(words!["(", "type", "symlink", "target"]);
        self.string(target);
        self.bytes.extend_from_slice(framing::CLOSE);
    }

    /// What was written since the last [`Writer::take`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hands out what was written and starts an empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// Forgets what was written, keeping the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn string(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(bytes);
        self.pad(length);
    }

    fn pad(&mut self, length: u64) {
        self.bytes.extend_from_slice(&[0; 8][..framing::padding(length)]);
    }
}
