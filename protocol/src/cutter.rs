//! Cuts a NAR into chunks along its own structure.
//!
//! A file is what repeats between releases of a package, so a file of at least `min-size` never shares a chunk with its
//! neighbours: it is cut out at its borders, and inside by FastCDC. Smaller neighbours are gathered into one chunk, which ends at a
//! file border that the file's own bytes choose, so that a changed file moves the cuts around it only. A file's framing (its name,
//! the nodes before it) goes with the file. What comes out depends on the bytes and the sizes alone, never on how they arrive.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{self, Normalization};
use formats::nar;

use crate::ChunkSizes;

/// A group of small files ends at every fourth file border on average, once it has `min-size` bytes …
const GROUP_BORDER_MASK: u32 = 3;
/// … and at the latest when it has this many times `min-size`.
const GROUP_LIMIT: usize = 4;
/// How many bytes before a file's end decide whether a group ends there.
const BORDER_WINDOW: usize = 64;

/// Cuts the bytes of one NAR as they arrive, and checks on the way that they are a NAR.
///
/// Holds at most one chunk and what was pushed last.
#[derive(Debug)]
pub struct NarCutter {
    reader: nar::Reader,
    splitter: Splitter,
}

impl NarCutter {
    /// A cutter at the start of a NAR.
    #[must_use]
    pub fn new(sizes: ChunkSizes, limits: nar::Limits) -> Self {
        Self { reader: nar::Reader::new(limits), splitter: Splitter::new(sizes) }
    }

    /// Takes the next bytes of the NAR; `observe` sees its structure.
    ///
    /// # Errors
    /// If they do not go on as a NAR does.
    pub fn push(&mut self, bytes: &[u8], mut observe: impl FnMut(&nar::Event<'_>)) -> Result<(), nar::Error> {
        let files = &mut self.splitter.files;
        self.reader.push(bytes, &mut |event| {
            if let nar::Event::Regular { size, offset, .. } = event {
                files.push_back(File { start: offset, size });
            }
            observe(&event);
        })?;
        self.splitter.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next chunk that is settled by what was pushed.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        self.splitter.next(false)
    }

    /// How many bytes were pushed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Ends the NAR, and gives its last chunks.
    ///
    /// # Errors
    /// If the NAR is cut off.
    pub fn finish(mut self) -> Result<Vec<Bytes>, nar::Error> {
        self.reader.finish()?;
        Ok(std::iter::from_fn(|| self.splitter.next(true)).collect())
    }
}

/// The contents of a file, by position in the NAR.
#[derive(Debug, Clone, Copy)]
struct File {
    start: u64,
    size: u64,
}

impl File {
    /// Where the contents end, padding included.
    const fn end(self) -> u64 {
        self.start + self.size.next_multiple_of(8)
    }
}

#[derive(Debug)]
struct Splitter {
    sizes: ChunkSizes,
    /// Bytes that are in no chunk yet; the first is at `position` of the NAR.
    buffer: BytesMut,
    position: u64,
    /// How many bytes of the buffer belong to the group of small files being gathered, all ending at a file border.
    group: usize,
    /// Files whose end is beyond the group.
    files: VecDeque<File>,
    mask_small: u64,
    mask_large: u64,
}

impl Splitter {
    fn new(sizes: ChunkSizes) -> Self {
        let (mask_small, mask_large) = v2020::select_masks(sizes.avg_size(), Normalization::Level1);
        Self { sizes, buffer: BytesMut::new(), position: 0, group: 0, files: VecDeque::new(), mask_small, mask_large }
    }

    /// The next chunk, if the buffer settles it. `ended` says that nothing more will come.
    fn next(&mut self, ended: bool) -> Option<Bytes> {
        if ended && self.position == 0 && self.buffer.len() < self.sizes.nar_size_threshold() {
            self.files.clear();
            return self.take(self.buffer.len());
        }
        if !ended && self.position == 0 && self.buffer.len() < self.sizes.nar_size_threshold() {
            return None;
        }
        let max = self.sizes.max_size();
        while let Some(&file) = self.files.front() {
            if file.start.saturating_sub(self.position) > max as u64 {
                return self.take(if self.group > 0 { self.group } else { max });
            }
            if file.size >= self.sizes.min_size() as u64 {
                return if self.group > 0 { self.take(self.group) } else { self.cut_large(file) };
            }
            let Some(end) = self.buffered(file.end()) else {
                return self.cut_framing(ended);
            };
            if end > max {
                return self.take(if self.group > 0 { self.group } else { max });
            }
            self.files.pop_front();
            self.group = end;
            if self.ends_group(file) {
                return self.take(end);
            }
        }
        self.cut_framing(ended)
    }

    /// The buffer index of an absolute position, if it has been buffered.
    fn buffered(&self, position: u64) -> Option<usize> {
        let index = usize::try_from(position.saturating_sub(self.position)).ok()?;
        (index <= self.buffer.len()).then_some(index)
    }

    /// Whether the group, which `file` was added to last, ends here.
    fn ends_group(&self, file: File) -> bool {
        if self.group < self.sizes.min_size() {
            return false;
        }
        let end = self.group - usize::try_from(file.end() - file.start - file.size).unwrap_or(0);
        let length = usize::try_from(file.size).unwrap_or(BORDER_WINDOW).min(BORDER_WINDOW);
        let window = self.buffer.get(end.saturating_sub(length)..end).unwrap_or(&[]);
        fnv1a(window) & GROUP_BORDER_MASK == 0 || self.group >= GROUP_LIMIT * self.sizes.min_size()
    }

    /// The next chunk of the unit that ends with a large file: its framing and contents.
    fn cut_large(&mut self, file: File) -> Option<Bytes> {
        let end = self.buffered(file.end());
        if end.is_none() && self.buffer.len() < self.sizes.max_size() {
            return None;
        }
        let unit = &self.buffer[..end.unwrap_or(self.buffer.len())];
        let (min, avg, max) = (self.sizes.min_size(), self.sizes.avg_size(), self.sizes.max_size());
        let (small, large) = (self.mask_small, self.mask_large);
        let min = min.max(avg / 4) & !1;
        let (_, length) = v2020::cut(unit, min, avg, max, small, large, small << 1, large << 1);
        if end == Some(length) {
            self.files.pop_front();
        }
        self.take(length)
    }

    /// What is left when no file ends in the buffer: framing, which waits for its file unless there is too much of it.
    fn cut_framing(&mut self, ended: bool) -> Option<Bytes> {
        let max = self.sizes.max_size();
        if self.buffer.len() > max {
            // The group must not grow past a chunk's size by the framing that follows it.
            return self.take(if self.group > 0 { self.group } else { max });
        }
        if ended && !self.buffer.is_empty() { self.take(self.buffer.len()) } else { None }
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        let chunk = self.buffer.split_to(length.min(self.buffer.len())).freeze();
        self.position += chunk.len() as u64;
        self.group = self.group.saturating_sub(chunk.len());
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// FNV-1a, 32 bits: a well-known small hash, for a decision that only has to be the same every time.
fn fnv1a(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The low bits of FNV-1a mix poorly; fold the high ones in.
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests;
