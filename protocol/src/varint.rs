//! Unsigned LEB128, in which manifests and pack records write their numbers.

/// Appends `value`, seven bits a byte, least significant first.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Takes a number from the front of `input`; `None` if it is cut off, longer than needed or above 64 bits.
pub fn read_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    for (i, &byte) in input.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * i);
        if byte < 0x80 {
            if byte == 0 && i > 0 {
                return None;
            }
            *input = &input[i + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(value: u64, rest: Vec<u8>) {
            let mut text = Vec::new();
            write_varint(&mut text, value);
            text.extend_from_slice(&rest);
            let mut input = &text[..];
            prop_assert_eq!(read_varint(&mut input), Some(value));
            prop_assert_eq!(input, &rest[..]);
        }

        #[test]
        fn any_bytes_are_refused_or_canonical(bytes: Vec<u8>) {
            let mut input = &bytes[..];
            if let Some(value) = read_varint(&mut input) {
                let mut again = Vec::new();
                write_varint(&mut again, value);
                prop_assert_eq!(&bytes[..bytes.len() - input.len()], &again[..]);
            }
        }
    }
}
