//! The stage that looks at every byte: parses, hashes, cuts, names.

use formats::{
    NarHash,
    nar::{self, ListingBuilder},
};
use protocol::{ChunkSizes, NarCutter};
use sha2::{Digest, Sha256};

use crate::store::RawChunk;

/// A NAR while it is cut.
pub(super) struct Cutting {
    cutter: NarCutter,
    hasher: Sha256,
    listing: ListingBuilder,
}

/// A NAR that was cut to its end.
pub(super) struct Cut {
    /// The chunks that were not given before.
    pub(super) last: Vec<RawChunk>,
    /// SHA-256 of the NAR.
    pub(super) nar_hash: NarHash,
    /// Its size in bytes.
    pub(super) nar_size: u64,
    /// Its `.ls` listing, if its names are texts.
    pub(super) listing: Option<String>,
}

impl Cutting {
    pub(super) fn new(sizes: ChunkSizes) -> Self {
        let cutter = NarCutter::new(sizes, nar::Limits::default());
        Self { cutter, hasher: Sha256::new(), listing: ListingBuilder::new() }
    }

    /// Takes the next bytes, and gives the chunks that they settle. Takes CPU time: call it off the reactor.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<RawChunk>, nar::Error> {
        let listing = &mut self.listing;
        self.cutter.push(bytes, |event| listing.push(*event))?;
        self.hasher.update(bytes);
        Ok(std::iter::from_fn(|| self.cutter.next_chunk()).map(RawChunk::new).collect())
    }

    /// How many bytes came.
    pub(super) fn position(&self) -> u64 {
        self.cutter.position()
    }

    /// Ends the NAR.
    pub(super) fn finish(self) -> Result<Cut, nar::Error> {
        let nar_size = self.cutter.position();
        let last = self.cutter.finish()?.into_iter().map(RawChunk::new).collect();
        let nar_hash = NarHash::from_bytes(self.hasher.finalize().into());
        Ok(Cut { last, nar_hash, nar_size, listing: self.listing.finish().map(|listing| listing.render()) })
    }
}
