//! Nix's own base 32: an alphabet without `e o u t`, least significant bits last.
//!
//! The bytes are read as one little-endian number and written with the most significant digit first, so that sorting
//! the texts of equally long values sorts those numbers.

use thiserror::Error;

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The digit of each byte, or `NONE`.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        #[expect(clippy::cast_possible_truncation, reason = "a digit is below 32")]
        {
            digits[ALPHABET[digit] as usize] = digit as u8;
        }
        digit += 1;
    }
    digits
};
const NONE: u8 = 0xff;

/// Why a text is not Nix base 32.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Base32Error {
    /// A character outside the alphabet.
    #[error("byte {position} of a Nix base-32 text is {byte:#04x}, which is not in its alphabet")]
    Symbol {
        /// Where it stands, counted from 0.
        position: usize,
        /// What stands there.
        byte: u8,
    },
    /// No number of bytes, or not the wanted one, is written with that many digits.
    #[error("{length} characters of Nix base 32 are no whole number of bytes, or not the wanted one")]
    Length {
        /// The number of characters given.
        length: usize,
    },
    /// The first digit has bits beyond the last byte.
    #[error("the first digit of a Nix base-32 text overflows its last byte")]
    Overflow,
}

/// The number of characters that `bytes` bytes become.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Whether the byte is one of the 32 digits.
#[inline]
pub const fn is_digit(byte: u8) -> bool {
    DIGITS[byte as usize] != NONE
}

/// Writes bytes in Nix base 32.
pub fn encode(bytes: &[u8]) -> String {
    (0..encoded_len(bytes.len())).rev().map(|n| char::from(digit_at(bytes, n))).collect()
}

/// Writes bytes into a buffer of exactly `encoded_len` characters, so that short texts need no allocation.
pub(crate) fn encode_into(bytes: &[u8], text: &mut [u8]) {
    debug_assert_eq!(text.len(), encoded_len(bytes.len()));
    for (n, symbol) in text.iter_mut().rev().enumerate() {
        *symbol = digit_at(bytes, n);
    }
}

/// The character for bits `5n..5n+5`, counted from the least significant.
fn digit_at(bytes: &[u8], n: usize) -> u8 {
    let (byte, shift) = (n * 5 / 8, n * 5 % 8);
    let low = u16::from(bytes[byte]);
    let high = bytes.get(byte + 1).map_or(0, |byte| u16::from(*byte) << 8);
    ALPHABET[usize::from((low | high) >> shift & 0x1f)]
}

/// Reads Nix base 32, refusing any text that `encode` would not write.
pub fn decode(text: &str) -> Result<Vec<u8>, Base32Error> {
    let size = text.len() * 5 / 8;
    if encoded_len(size) != text.len() {
        return Err(Base32Error::Length { length: text.len() });
    }
    let mut bytes = vec![0; size];
    decode_into(text.as_bytes(), &mut bytes)?;
    Ok(bytes)
}

/// Reads Nix base 32 of exactly `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base32Error> {
    if text.len() != encoded_len(N) {
        return Err(Base32Error::Length { length: text.len() });
    }
    let mut bytes = [0; N];
    decode_into(text.as_bytes(), &mut bytes)?;
    Ok(bytes)
}

fn decode_into(text: &[u8], bytes: &mut [u8]) -> Result<(), Base32Error> {
    for (n, &symbol) in text.iter().rev().enumerate() {
        let digit = DIGITS[usize::from(symbol)];
        if digit == NONE {
            return Err(Base32Error::Symbol { position: text.len() - 1 - n, byte: symbol });
        }
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let [low, high] = (u16::from(digit) << shift).to_le_bytes();
        bytes[byte] |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return Err(Base32Error::Overflow),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pairs() {
        // sha256 of the empty string, as `nix hash convert` spells it.
        let empty = data_encoding::HEXLOWER
            .decode(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
            .unwrap();
        assert_eq!(encode(&empty), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
        assert_eq!(decode("0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73").unwrap(), empty);
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[0xff]), "7z");
        assert_eq!(encode(&[0x1f]), "0z");
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        assert_eq!(decode("0"), Err(Base32Error::Length { length: 1 }));
        assert_eq!(decode("zz"), Err(Base32Error::Overflow));
        assert_eq!(decode("0e"), Err(Base32Error::Symbol { position: 1, byte: b'e' }));
        assert_eq!(decode("A0"), Err(Base32Error::Symbol { position: 0, byte: b'A' }));
        assert_eq!(decode_array::<2>("7z"), Err(Base32Error::Length { length: 2 }));
    }

    proptest::proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            let mut buffer = vec![0; encoded_len(bytes.len())];
            encode_into(&bytes, &mut buffer);
            proptest::prop_assert_eq!(text.as_bytes(), &buffer);
            proptest::prop_assert_eq!(decode(&text).unwrap(), bytes);
        }

        #[test]
        fn one_text_per_value(text in "[0-9a-z]{0,60}") {
            if let Ok(bytes) = decode(&text) {
                proptest::prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
