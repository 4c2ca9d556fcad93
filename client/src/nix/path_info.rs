//! The JSON of `nix path-info --json`, in every shape that Nix has given it.
//!
//! Up to 2.18 it is a list of objects that name their `path`; from 2.19 an object keyed by path; from 2.33 it can be that object
//! under `info` beside a `version`, with base names for paths and structured hashes, content addresses and signatures. A path that
//! is not valid has `"valid": false`, or `null` for its info. All are read alike: each place takes any of its spellings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use formats::{ContentAddressError, Hash, HashError, NarHash, PathInfo, StoreDir, StorePath, StorePathError};
use protocol::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Path info that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum PathInfoError {
    /// Not the JSON that we know.
    #[error("not the JSON of path info")]
    Json(#[from] serde_json::Error),
    /// A path of the answer is not valid in the store.
    #[error("{0} is not valid")]
    NotValid(String),
    /// Something that is no store path.
    #[error("{text:?} is no store path")]
    StorePath {
        /// As Nix gave it.
        text: String,
        /// What is wrong with it.
        source: StorePathError,
    },
    /// A path without a hash or size: it was added to the store by hand.
    #[error("{path} has no {field}")]
    Lacks {
        /// The path.
        path: StorePath,
        /// The field.
        field: &'static str,
    },
    /// A hash that is none.
    #[error("the hash of {path} cannot be read")]
    Hash {
        /// The path.
        path: StorePath,
        /// What is wrong with it.
        source: HashError,
    },
    /// A content address that is none.
    #[error("the content address of {path} cannot be read")]
    ContentAddress {
        /// The path.
        path: StorePath,
        /// What is wrong with it.
        source: ContentAddressError,
    },
}

/// Reads the output of `nix path-info --json`; `store_dir` is the one that its paths are named with.
///
/// Signatures that are malformed are left out: Nix stores whatever it was given, and nobody can verify them.
///
/// # Errors
/// It is not such output, or a path in it is not valid.
pub fn parse_path_infos(json: &[u8], store_dir: &StoreDir) -> Result<Vec<PathInfo>, PathInfoError> {
    let Answer(entries) = serde_json::from_slice(json)?;
    entries
        .into_iter()
        .map(|(path, raw)| raw.ok_or(PathInfoError::NotValid(path.clone()))?.read(&path, store_dir))
        .collect()
}

/// Reads the same output only for which paths are valid, and since when.
///
/// # Errors
/// It is not such output.
pub(super) fn parse_registrations(
    json: &[u8],
    store_dir: &StoreDir,
) -> Result<BTreeMap<StorePath, Option<Timestamp>>, PathInfoError> {
    let Answer(entries) = serde_json::from_slice(json)?;
    let valid = entries.into_iter().filter_map(|(path, raw)| Some((path, raw?.registration_time.map(Timestamp))));
    valid.map(|(path, registered)| Ok((store_path(&path, store_dir)?, registered))).collect()
}

/// Paths with what is said of them; nothing for those that are not valid.
struct Answer(Vec<(String, Option<RawInfo>)>);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of path info, or an object from store path to path info")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Answer, A::Error> {
        let mut entries = Vec::new();
        while let Some(mut raw) = list.next_element::<RawInfo>()? {
            let path = raw.path.take().ok_or_else(|| serde::de::Error::missing_field("path"))?;
            entries.push((path, (raw.valid != Some(false)).then_some(raw)));
        }
        Ok(Answer(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" | "storeDir" => drop(map.next_value::<IgnoredAny>()?),
                "info" => entries.append(&mut map.next_value::<Answer>()?.0),
                _ => entries.push((key, map.next_value()?)),
            }
        }
        Ok(Answer(entries))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInfo {
    path: Option<String>,
    valid: Option<bool>,
    nar_hash: Option<RawHash>,
    nar_size: Option<u64>,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    #[serde(default)]
    signatures: Vec<RawSignature>,
    ca: Option<RawContentAddress>,
    registration_time: Option<i64>,
}

/// A hash: SRI, or its parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawHash {
    Text(String),
    Parts { algorithm: String, hash: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSignature {
    Text(String),
    Parts {
        #[serde(rename = "keyName")]
        key_name: String,
        sig: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawContentAddress {
    Text(String),
    Parts { method: String, hash: RawHash },
}

impl RawHash {
    fn read(&self) -> Result<Hash, HashError> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Parts { algorithm, hash } => format!("{algorithm}:{hash}").parse(),
        }
    }
}

impl RawSignature {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts { key_name, sig } => format!("{key_name}:{sig}"),
        }
    }
}

impl RawInfo {
    fn read(self, path: &str, store_dir: &StoreDir) -> Result<PathInfo, PathInfoError> {
        let path = store_path(path, store_dir)?;
        let lacks = |field| PathInfoError::Lacks { path: path.clone(), field };
        let bad_hash = |source| PathInfoError::Hash { path: path.clone(), source };
        let nar_hash = self.nar_hash.ok_or_else(|| lacks("NAR hash"))?.read().map_err(bad_hash)?;
        let nar_hash = NarHash::try_from(nar_hash).map_err(bad_hash)?;
        let nar_size = self.nar_size.filter(|&size| size > 0).ok_or_else(|| lacks("NAR size"))?;
        let references =
            self.references.iter().map(|text| store_path(text, store_dir)).collect::<Result<BTreeSet<_>, _>>()?;
        let deriver = match self.deriver.as_deref() {
            None | Some("" | "unknown-deriver") => None,
            Some(text) => Some(store_path(text, store_dir)?),
        };
        let ca = match self.ca {
            None => None,
            Some(RawContentAddress::Text(text)) if text.is_empty() => None,
            Some(RawContentAddress::Text(text)) => Some(text),
            Some(RawContentAddress::Parts { method, hash }) => {
                let hash = hash.read().map_err(bad_hash)?.to_nix32();
                Some(match method.as_str() {
                    "nar" => format!("fixed:r:{hash}"),
                    "flat" => format!("fixed:{hash}"),
                    "text" => format!("text:{hash}"),
                    other => format!("fixed:{other}:{hash}"),
                })
            }
        };
        let ca = ca
            .map(|text| text.parse())
            .transpose()
            .map_err(|source| PathInfoError::ContentAddress { path: path.clone(), source })?;
        let signatures = self.signatures.into_iter().filter_map(|raw| raw.text().parse().ok()).collect();
        Ok(PathInfo { path, nar_hash, nar_size, references, deriver, signatures, ca })
    }
}

fn store_path(text: &str, store_dir: &StoreDir) -> Result<StorePath, PathInfoError> {
    let parsed = if text.starts_with('/') { store_dir.parse_path(text) } else { text.parse() };
    parsed.map_err(|source| PathInfoError::StorePath { text: text.to_owned(), source })
}

#[cfg(test)]
mod tests;
