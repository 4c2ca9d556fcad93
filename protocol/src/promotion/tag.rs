//! Tags: names for what was promoted.

use std::{fmt, str::FromStr};

use formats::{PublicKey, Sha256, StorePath};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Finding;
use crate::Timestamp;

/// The longest name of a tag, in bytes.
const MAX_TAG_BYTES: usize = 64;

/// A text that is no name of a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tag has 1 to {MAX_TAG_BYTES} letters, digits, '.', '-', '_' and '+', and starts with a letter or digit")]
pub struct TagNameError;

/// The name of a tag: `[A-Za-z0-9][A-Za-z0-9._+-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(String);

impl TagName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagName {
    type Err = TagNameError;

    fn from_str(text: &str) -> Result<Self, TagNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts || text.len() > MAX_TAG_BYTES || !text.chars().all(allowed) {
            return Err(TagNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TagName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TagName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("{text:?} is none of {:?}", [$($text),*])),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Whether a tag moves.
    TagKind {
        /// It moves, and its history is kept.
        Channel = "channel",
        /// It is made once.
        Release = "release",
    }
}

words! {
    /// Who may substitute from a view.
    Visibility {
        /// Nobody: it is promoted, and served nowhere but in its own cache.
        LocalOnly = "local-only",
        /// Who may pull from the cache.
        Internal = "internal",
        /// Anybody, even if the cache is private.
        Public = "public",
    }
}

words! {
    /// Where a revision of a tag stands.
    RevisionState {
        /// It is kept: the current one, or one that a rollback can go back to.
        Kept = "kept",
        /// It is too old; its closure is no longer held.
        Expired = "expired",
        /// It was taken back.
        Revoked = "revoked",
    }
}

/// Asks that a tag point at these claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveTag {
    /// The claims, by number; all must be clean.
    pub claims: Vec<i64>,
    /// Whether the tag moves. Cannot change.
    pub kind: TagKind,
    /// Who may substitute from its view.
    pub visibility: Visibility,
    /// The revision that the tag is thought to have; 0 for a tag that is not there yet.
    pub expected: i64,
}

/// Asks that a channel go back to an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which.
    pub to: i64,
    /// The revision that the tag is thought to have.
    pub expected: i64,
    /// Why.
    pub reason: String,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: TagName,
    /// Whether it moves.
    pub kind: TagKind,
    /// Who may substitute from its view.
    pub visibility: Visibility,
    /// The revision that it points at; nothing if that was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Revision>,
}

/// One position of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// 1, 2, 3, ….
    pub number: i64,
    /// Where it stands.
    pub state: RevisionState,
    /// The claims that it points at.
    pub claims: Vec<i64>,
    /// What they came to.
    pub roots: Vec<StorePath>,
    /// Whether it satisfied what is asked of public tags when it was made.
    pub is_publishable: bool,
    /// The version and digest of the policy under which it was decided.
    pub policy_version: String,
    /// See above.
    pub policy_digest: Sha256,
    /// What was found when it was decided.
    pub findings: Vec<Finding>,
    /// Who decided.
    pub moved_by: String,
    /// When.
    pub at: Timestamp,
    /// The revision that it repeats, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<i64>,
    /// Why it was taken back, or gone back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The public halves of a cache's promotion keys, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionKeys {
    /// The keys, as `trusted-public-keys` has them.
    pub keys: Vec<PublicKey>,
}

/// Asks for what leaves the house, and says where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Where it goes: `flakehub`, `ghcr`, ….
    pub surface: String,
    /// Under which address there, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// That something left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its number.
    pub id: i64,
    /// The revision that left.
    pub revision: i64,
    /// Where to.
    pub surface: String,
    /// Under which address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// SHA-256 of the manifest that left.
    pub manifest_digest: Sha256,
    /// Who took it.
    pub exported_by: String,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_plain_words() {
        for good in ["stable", "v1.2.3+4", "a", "0", "A_b-c.d", &"x".repeat(64)] {
            assert!(good.parse::<TagName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a@b", "a b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<TagName>().is_err(), "{bad}");
        }
        assert_eq!("local-only".parse(), Ok(Visibility::LocalOnly));
        assert!("secret".parse::<Visibility>().is_err());
    }
}
