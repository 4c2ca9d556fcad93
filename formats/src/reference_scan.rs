//! Finding references: which of these store paths does a NAR mention?

use std::collections::{BTreeSet, HashMap};

use crate::base32;
use crate::store_path::StorePathHash;

const WINDOW: usize = StorePathHash::TEXT_LEN;

/// Looks for the hash parts of store paths in a stream, as Nix does to learn the references of what was built.
///
/// Any run of 32 characters that is one of the candidates counts, wherever it stands and however it is cut into
/// pieces.
#[derive(Debug)]
pub struct ReferenceScanner {
    /// The candidates that have not been found yet, by their text.
    wanted: HashMap<[u8; WINDOW], StorePathHash>,
    found: BTreeSet<StorePathHash>,
    /// The end of the stream so far, too short for a hash part: where one that spans two pieces begins.
    tail: Vec<u8>,
}

impl ReferenceScanner {
    /// Starts to look for these.
    pub fn new(candidates: impl IntoIterator<Item = StorePathHash>) -> Self {
        let wanted = candidates.into_iter().map(|hash| (hash.to_text(), hash)).collect();
        Self { wanted, found: BTreeSet::new(), tail: Vec::with_capacity(2 * WINDOW) }
    }

    /// Takes the next piece.
    pub fn push(&mut self, input: &[u8]) {
        if self.wanted.is_empty() {
            return;
        }
        let mut border = std::mem::take(&mut self.tail);
        border.extend_from_slice(&input[..input.len().min(WINDOW - 1)]);
        self.scan(&border);
        self.scan(input);
        if let Some(start) = input.len().checked_sub(WINDOW - 1) {
            border.clear();
            border.extend_from_slice(&input[start..]);
        } else {
            border.drain(..border.len().saturating_sub(WINDOW - 1));
        }
        self.tail = border;
    }

    /// What was found so far.
    pub const fn found(&self) -> &BTreeSet<StorePathHash> {
        &self.found
    }

    /// What was found.
    pub fn finish(self) -> BTreeSet<StorePathHash> {
        self.found
    }

    /// Moves a window over the bytes, from its last byte to its first: one that is no digit rules out all windows
    /// with it, so that most of a binary is never looked at.
    fn scan(&mut self, bytes: &[u8]) {
        let mut at = 0;
        // The bytes from `at` up to here are known to be digits.
        let mut known = 0;
        while let Some(window) = bytes[at..].first_chunk::<WINDOW>() {
            let end = at + WINDOW;
            if let Some(other) = (known.max(at)..end).rev().find(|&at| !base32::is_digit(bytes[at])) {
                at = other + 1;
            } else {
                if let Some(hash) = self.wanted.remove(window) {
                    self.found.insert(hash);
                }
                known = end;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz";
    const B: &str = "00000000000000000000000000000000";

    fn hash(text: &str) -> StorePathHash {
        text.parse().unwrap()
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<StorePathHash> {
        let mut scanner = ReferenceScanner::new([hash(A), hash(B)]);
        pieces.into_iter().for_each(|piece| scanner.push(piece));
        scanner.finish()
    }

    #[test]
    fn finds_what_is_there() {
        assert_eq!(scan([format!("/nix/store/{A}-x").as_bytes()]), [hash(A)].into());
        assert_eq!(scan([A.as_bytes()]), [hash(A)].into());
        // In the middle of a longer run of digits, as in a list of hash parts without separators.
        assert_eq!(scan([format!("zz{A}{B}0").as_bytes()]), [hash(A), hash(B)].into());
        assert_eq!(scan([format!("{}e{}", &A[..16], &A[16..]).as_bytes()]), [].into());
        assert_eq!(scan([&A.as_bytes()[..31]]), [].into());
        assert_eq!(scan([A.to_uppercase().as_bytes()]), [].into());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            before in "[0a/e]{0,70}", between in "[0a/e]{0,40}", after in "[0a/e]{0,70}", cuts: Vec<prop::sample::Index>,
        ) {
            let text = format!("{before}{A}{between}{B}{after}");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
            prop_assert_eq!(scan(pieces), [hash(A), hash(B)].into());
            prop_assert_eq!(scan(text.as_bytes().chunks(1)), [hash(A), hash(B)].into());
        }

        #[test]
        fn agrees_with_a_plain_search(text in "[0a/]{0,100}") {
            prop_assert_eq!(scan([text.as_bytes()]).contains(&hash(B)), text.contains(B));
        }
    }
}
