//! Names of caches, and the patterns by which a token names several.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest cache name, in bytes.
const MAX_NAME_BYTES: usize = 50;

/// First path segments that the root substituter needs for itself.
const RESERVED: [&str; 5] = ["nar", "log", "realisations", "build-trace-v2", "debuginfo"];

/// A text that is no cache name, or no pattern of cache names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or longer than [`MAX_NAME_BYTES`].
    #[error("a cache name has 1 to {MAX_NAME_BYTES} characters, this one has {0}")]
    Length(usize),
    /// A character outside `A-Za-z0-9-_+`.
    #[error(
        "a cache name has only letters, digits, '-', '_' and '+', and starts with a letter or digit; {0:?} is not allowed here"
    )]
    Character(char),
    /// A name that the substituter at the server's root needs.
    #[error("the name {0:?} is reserved")]
    Reserved(String),
}

/// The name of a cache: `[A-Za-z0-9][A-Za-z0-9-_+]{0,49}`, as Attic's, less a few reserved words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheName(String);

impl CacheName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CacheName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, |_| false)?;
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A cache name in which `*` stands for any run of characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CachePattern(String);

impl CachePattern {
    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether `name` matches.
    #[must_use]
    pub fn matches(&self, name: &CacheName) -> bool {
        wildcard(self.0.as_bytes(), name.0.as_bytes())
    }

    /// Tells whether a text that may or may not be a name matches.
    pub(crate) fn covers_text(&self, text: &str) -> bool {
        wildcard(self.0.as_bytes(), text.as_bytes())
    }

    /// Tells whether the pattern is a name: it has no star.
    #[must_use]
    pub fn is_name(&self) -> bool {
        !self.0.contains('*')
    }

    /// Tells whether every name that `narrow` matches, this pattern matches too. A star of `narrow` needs a star here.
    #[must_use]
    pub fn covers(&self, narrow: &Self) -> bool {
        // A star is matched by nothing but a star, so the narrow pattern is as good as a text.
        wildcard(self.0.as_bytes(), narrow.0.as_bytes())
    }

    /// Tells whether there may be a name that both patterns match.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        overlap(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl FromStr for CachePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text, |c| c == '*')?;
        Ok(Self(text.to_owned()))
    }
}

impl From<&CacheName> for CachePattern {
    fn from(name: &CacheName) -> Self {
        Self(name.0.clone())
    }
}

fn check(text: &str, extra: impl Fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        return Err(NameError::Length(text.len()));
    }
    let allowed =
        |(i, c): (usize, char)| c.is_ascii_alphanumeric() || extra(c) || (i > 0 && matches!(c, '-' | '_' | '+'));
    match text.char_indices().find(|&at| !allowed(at)) {
        Some((_, c)) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

/// Tells whether `text` is what `pattern` says, in which `*` stands for any run of characters.
#[must_use]
pub fn matches_wildcard(pattern: &str, text: &str) -> bool {
    wildcard(pattern.as_bytes(), text.as_bytes())
}

/// Matches `*` greedily with one point to come back to: linear for one star, never exponential.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            back = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether some text matches both patterns: `reach[b]` is whether what is left of them from here on can be the same.
fn overlap(a: &[u8], b: &[u8]) -> bool {
    let only_stars = |rest: &[u8]| rest.iter().all(|&c| c == b'*');
    // From the end of `a` backwards, one row for each place in it.
    let mut below: Vec<bool> = (0..=b.len()).map(|at| only_stars(&b[at..])).collect();
    for (at, &x) in a.iter().enumerate().rev() {
        let mut row = vec![only_stars(&a[at..]); b.len() + 1];
        for (to, &y) in b.iter().enumerate().rev() {
            row[to] = match (x, y) {
                (b'*', _) | (_, b'*') => below[to] || row[to + 1],
                (x, y) => x == y && below[to + 1],
            };
        }
        below = row;
    }
    below[0]
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
text_type!(CacheName);
text_type!(CachePattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_attics_rule() {
        for good in ["main", "a", "A-b_c+d", "0", &"x".repeat(50)] {
            assert!(good.parse::<CacheName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "_api", "a b", "a/b", "a@b", "ä", "..", &"x".repeat(51), "nar", "log"] {
            assert!(bad.parse::<CacheName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn stars_match_any_run() {
        let matches = |p: &str, n: &str| p.parse::<CachePattern>().unwrap().matches(&n.parse().unwrap());
        assert!(matches("*", "main"));
        assert!(matches("team-*", "team-a"));
        assert!(matches("*-ci", "x-ci"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("main", "main"));
        assert!(!matches("team-*", "main"));
        assert!(!matches("a*b", "abc"));
        assert!(!matches("main", "main2"));
    }

    #[test]
    fn wider_patterns_cover_narrower_ones() {
        let pattern = |text: &str| text.parse::<CachePattern>().unwrap();
        for (wide, narrow) in [
            ("*", "main"),
            ("*", "team-*"),
            ("team-*", "team-a"),
            ("team-*", "team-*-ci"),
            ("*-ci", "a-*-ci"),
            ("a*b", "a*b"),
            ("a**", "a*"),
            ("main", "main"),
        ] {
            assert!(pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [("main", "*"), ("team-*", "*"), ("team-*", "team*"), ("*-ci", "*"), ("a*b", "a*")] {
            assert!(!pattern(wide).covers(&pattern(narrow)), "{wide} {narrow}");
        }
    }

    #[test]
    fn patterns_overlap_if_a_name_matches_both() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (a.parse::<CachePattern>().unwrap(), b.parse::<CachePattern>().unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a), "{a} {b}");
            a.overlaps(&b)
        };
        for (a, b) in [("*", "x"), ("a*", "*b"), ("a*c", "ab*"), ("x", "x"), ("a*b*c", "a*c"), ("*a", "*a*")] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [("a*", "b*"), ("*a", "*b"), ("x", "y"), ("ab", "a"), ("a*c", "a*d"), ("aa*", "a")] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }
}
