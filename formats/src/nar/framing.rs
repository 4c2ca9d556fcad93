//! How a NAR spells its strings: length, bytes, zeros up to the next multiple of eight.

/// The number of bytes in a length.
pub(super) const LENGTH: usize = 8;

/// The zeros that follow a string of this length.
pub(super) const fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 8) as usize
}

/// The framed length of a row of words.
pub(super) const fn framed_len(words: &[&str]) -> usize {
    let mut length = 0;
    let mut at = 0;
    while at < words.len() {
        length += LENGTH + words[at].len().next_multiple_of(8);
        at += 1;
    }
    length
}

/// A row of words as they stand in a NAR.
pub(super) const fn framed<const N: usize>(words: &[&str]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut end = 0;
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_bytes();
        let length = word.len().to_le_bytes();
        let mut i = 0;
        while i < length.len() {
            bytes[end + i] = length[i];
            i += 1;
        }
        let mut i = 0;
        while i < word.len() {
            bytes[end + LENGTH + i] = word[i];
            i += 1;
        }
        end += LENGTH + word.len().next_multiple_of(8);
        at += 1;
    }
    bytes
}

/// A row of words as they stand in a NAR, as a constant.
macro_rules! words {
    ($($word:literal),+) => {{
        const WORDS: &[&str] = &[$($word),+];
        const FRAMED: [u8; $crate::nar::framing::framed_len(WORDS)] = $crate::nar::framing::framed(WORDS);
        FRAMED.as_slice()
    }};
}
pub(super) use words;

pub(super) const BEGIN: &[u8] = words!["nix-archive-1", "(", "type"];
pub(super) const EXECUTABLE_CONTENTS: &[u8] = words!["", "contents"];
pub(super) const TARGET: &[u8] = words!["target"];
pub(super) const ENTRY_NAME: &[u8] = words!["(", "name"];
pub(super) const ENTRY_NODE: &[u8] = words!["node", "(", "type"];
pub(super) const CLOSE: &[u8] = words![")"];
pub(super) const CLOSE_NODE_AND_ENTRY: &[u8] = words![")", ")"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_framed() {
        assert_eq!(CLOSE, b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0");
        assert_eq!(EXECUTABLE_CONTENTS, b"\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0contents");
        assert_eq!(BEGIN.len(), 24 + 16 + 16);
        assert_eq!([0, 1, 7, 8, 9, u64::MAX].map(padding), [0, 7, 1, 0, 7, 1]);
    }
}
