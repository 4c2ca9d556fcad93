//! Store paths: the last component of `/nix/store/<hash>-<name>`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::base32::{self, Base32Error};
use crate::text::serde_as_text;

/// Why a text is not a store path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorePathError {
    /// The first 32 characters are not a hash part.
    #[error("a store path starts with a hash of 32 characters of Nix base 32")]
    Hash(#[source] Base32Error),
    /// The 33rd character is not a dash.
    #[error("the hash of a store path is followed by '-' and its name")]
    NoDash,
    /// There is nothing after the dash.
    #[error("the name of a store path is empty")]
    NameEmpty,
    /// The name is longer than Nix allows.
    #[error("the name of a store path has {length} characters, more than {max}", max = StorePathName::MAX_LEN)]
    NameTooLong {
        /// Its length.
        length: usize,
    },
    /// The name has a character that Nix does not allow.
    #[error("byte {position} of the store path's name is {byte:#04x}, which Nix does not allow")]
    NameSymbol {
        /// Where in the name, counted from 0.
        position: usize,
        /// What stands there.
        byte: u8,
    },
    /// The name is, or starts with and a dash, `.` or `..`.
    #[error("the first dash-separated part of a store path's name must not be '.' or '..'")]
    NameDots,
    /// A full path that does not lie right in the store directory.
    #[error("not a path right in the store directory")]
    NotInStore,
}

/// The hash part of a store path: what narinfos are looked up by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorePathHash([u8; 20]);

impl StorePathHash {
    /// The number of characters of its text.
    pub const TEXT_LEN: usize = base32::encoded_len(20);

    /// Takes the decoded bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The decoded bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The text, without allocating.
    pub fn to_text(&self) -> [u8; Self::TEXT_LEN] {
        let mut text = [0; Self::TEXT_LEN];
        base32::encode_into(&self.0, &mut text);
        text
    }
}

impl Ord for StorePathHash {
    /// Follows the text, whose first character holds the last byte's bits.
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for StorePathHash {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for StorePathHash {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        base32::decode_array(text).map(Self).map_err(StorePathError::Hash)
    }
}

impl fmt::Display for StorePathHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base32::encode(&self.0))
    }
}

impl fmt::Debug for StorePathHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a store path, under Nix's own rule.
///
/// 1 to 211 characters of `A-Za-z0-9+-._?=`; neither `.` nor `..`, nor one of these and a dash at the start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePathName(String);

impl StorePathName {
    /// The longest name: 255, the usual limit of a file name, less hash, dash and room for a suffix.
    pub const MAX_LEN: usize = 211;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StorePathName {
    type Err = StorePathError;

    fn from_str(name: &str) -> Result<Self, StorePathError> {
        check_name(name.as_bytes())?;
        Ok(Self(name.to_owned()))
    }
}

fn check_name(name: &[u8]) -> Result<(), StorePathError> {
    if name.is_empty() {
        return Err(StorePathError::NameEmpty);
    }
    if name.len() > StorePathName::MAX_LEN {
        return Err(StorePathError::NameTooLong { length: name.len() });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    if let Some(position) = name.iter().position(|byte| !allowed(*byte)) {
        return Err(StorePathError::NameSymbol { position, byte: name[position] });
    }
    if matches!(name, b"." | b".." | [b'.', b'-', ..] | [b'.', b'.', b'-', ..]) {
        return Err(StorePathError::NameDots);
    }
    Ok(())
}

impl AsRef<str> for StorePathName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StorePathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StorePathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A store path without its store directory: `<hash>-<name>`.
///
/// Sorts as its text does, which is the order of references in narinfos and fingerprints.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    hash: StorePathHash,
    name: StorePathName,
}

impl StorePath {
    /// Joins the two parts.
    pub const fn new(hash: StorePathHash, name: StorePathName) -> Self {
        Self { hash, name }
    }

    /// The hash part.
    pub const fn hash(&self) -> &StorePathHash {
        &self.hash
    }

    /// The name after the dash.
    pub const fn name(&self) -> &StorePathName {
        &self.name
    }

    /// Whether this is a derivation, which only its name tells.
    pub fn is_derivation(&self) -> bool {
        self.name.0.ends_with(".drv")
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(text: &str) -> Result<Self, StorePathError> {
        let too_short = || StorePathError::Hash(Base32Error::Length { length: text.len() });
        // A character that spans the border is no Nix base 32 either.
        let (hash, rest) = text.split_at_checked(StorePathHash::TEXT_LEN).ok_or_else(too_short)?;
        let hash = hash.parse()?;
        let name = rest.strip_prefix('-').ok_or(StorePathError::NoDash)?;
        Ok(Self { hash, name: name.parse()? })
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.hash, self.name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(StorePathHash, StorePathName, StorePath);

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz";

    fn name(text: &str) -> Result<StorePathName, StorePathError> {
        text.parse()
    }

    #[test]
    fn reads_and_writes() {
        let text = format!("{HASH}-konsole-18.12.3");
        let path: StorePath = text.parse().unwrap();
        assert_eq!(path.hash().to_string(), HASH);
        assert_eq!(path.hash().to_text(), HASH.as_bytes());
        assert_eq!(path.name().as_str(), "konsole-18.12.3");
        assert_eq!(path.to_string(), text);
        assert!(!path.is_derivation());
        assert!(format!("{HASH}-x.drv").parse::<StorePath>().unwrap().is_derivation());
        assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{text}\""));
    }

    #[test]
    fn names_are_what_nix_takes() {
        for good in ["a", ".gitignore", "...", "..a", ".a-b", "-", "a?b=c+d_e", "A", "0", "a.-b", &"x".repeat(211)] {
            assert_eq!(name(good).unwrap().as_str(), good);
        }
        for dots in [".", "..", ".-", ".-a", "..-", "..-a"] {
            assert_eq!(name(dots), Err(StorePathError::NameDots), "{dots}");
        }
        assert_eq!(name(""), Err(StorePathError::NameEmpty));
        assert_eq!(name(&"x".repeat(212)), Err(StorePathError::NameTooLong { length: 212 }));
        for (bad, position, byte) in
            [("a b", 1, b' '), ("a/b", 1, b'/'), ("ab\n", 2, b'\n'), ("é", 0, 0xc3), ("a%", 1, b'%')]
        {
            assert_eq!(name(bad), Err(StorePathError::NameSymbol { position, byte }), "{bad}");
        }
    }

    #[test]
    fn refuses() {
        let refused = |text: &str| text.parse::<StorePath>().unwrap_err();
        assert!(matches!(refused(""), StorePathError::Hash(_)));
        assert!(matches!(refused(&HASH[1..]), StorePathError::Hash(_)));
        assert_eq!(refused(HASH), StorePathError::NoDash);
        assert_eq!(refused(&format!("{HASH}_x")), StorePathError::NoDash);
        assert_eq!(refused(&format!("{HASH}-")), StorePathError::NameEmpty);
        assert!(matches!(refused(&format!("{}-x", HASH.to_uppercase())), StorePathError::Hash(_)));
        // 31 digits and a two-byte character across the border.
        assert!(matches!(refused(&format!("{}é-x", &HASH[1..])), StorePathError::Hash(_)));
    }

    proptest::proptest! {
        #[test]
        fn order_is_that_of_the_text(a: [u8; 20], b: [u8; 20]) {
            let (a, b) = (StorePathHash::from_bytes(a), StorePathHash::from_bytes(b));
            proptest::prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn path_order_is_that_of_the_text(a in "[01]{32}-[-a.0]{1,3}", b in "[01]{32}-[-a.0]{1,3}") {
            if let (Ok(left), Ok(right)) = (a.parse::<StorePath>(), b.parse::<StorePath>()) {
                proptest::prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            }
        }

        #[test]
        fn never_panics(text: String) {
            if let Ok(path) = text.parse::<StorePath>() {
                proptest::prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
