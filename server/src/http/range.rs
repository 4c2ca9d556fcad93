//! Range requests.

use std::ops::Range;

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: there was no range, or none that has to be understood.
    All,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that is there.
    Nothing,
}

/// Reads a `Range` header. Several ranges are answered with the whole file, which is allowed and cannot be abused.
pub(super) fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else { return Wanted::All };
    match (number(first.trim()), number(last.trim())) {
        (Some(Some(first)), Some(last)) => {
            if last.is_some_and(|last| last < first) {
                Wanted::All
            } else if first >= size {
                Wanted::Nothing
            } else {
                Wanted::Part(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
            }
        }
        (Some(None), Some(Some(length))) => {
            if length == 0 || size == 0 {
                Wanted::Nothing
            } else {
                Wanted::Part(size.saturating_sub(length)..size)
            }
        }
        _ => Wanted::All,
    }
}

/// `None` is no number, `Some(None)` is left out.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are beyond any file.
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let of = |text| parse(Some(text), 100);
        assert_eq!(of("bytes=0-9"), Wanted::Part(0..10));
        assert_eq!(of("bytes=90-"), Wanted::Part(90..100));
        assert_eq!(of("bytes=90-1000"), Wanted::Part(90..100));
        assert_eq!(of("bytes=-5"), Wanted::Part(95..100));
        assert_eq!(of("bytes=-500"), Wanted::Part(0..100));
        assert_eq!(of("bytes=0-99999999999999999999999"), Wanted::Part(0..100));
        for nothing in ["bytes=100-", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(nothing), Wanted::Nothing, "{nothing}");
        }
        for all in ["bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "bytes=0-1,5-6", "lines=0-1", "bytes=+1-2"] {
            assert_eq!(of(all), Wanted::All, "{all}");
        }
        assert_eq!(parse(None, 100), Wanted::All);
    }
}
