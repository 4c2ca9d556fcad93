//! Base 64 as Nix writes it: padded, and nothing after the padding.

use data_encoding::BASE64;

/// The first byte that does not belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadByte {
    pub(crate) position: usize,
}

pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads base 64, refusing any text that `encode` would not write.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, BadByte> {
    // The decoder underneath would take several padded texts in a row for one.
    let digits = text.trim_end_matches('=');
    if let Some(position) = digits.find('=') {
        return Err(BadByte { position });
    }
    BASE64.decode(text.as_bytes()).map_err(|error| BadByte { position: error.position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written() {
        assert_eq!(decode("AAE=").unwrap(), [0, 1]);
        assert_eq!(decode(""), Ok(Vec::new()));
        for (bad, position) in
            [("AA==AAAA", 2), ("AAB=", 2), ("AAAA=", 4), ("AA", 0), ("AA=", 0), ("A-A=", 1), ("AAE=\n", 3)]
        {
            assert_eq!(decode(bad).map_err(|bad| bad.position), Err(position), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            proptest::prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            proptest::prop_assert_eq!(decode(&text), Ok(bytes));
        }

        #[test]
        fn one_text_per_value(text in "[AEQgw=]{0,16}") {
            if let Ok(bytes) = decode(&text) {
                proptest::prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
