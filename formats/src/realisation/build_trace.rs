//! The shape of realisations since Nix 2.35.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{RealisationError, parse, render};
use crate::base64;
use crate::signature::{PublicKey, SecretKey, Signature};
use crate::store_path::{StorePath, StorePathName};

/// An output of a derivation, named by the derivation's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildTraceKey {
    /// The derivation.
    pub drv_path: StorePath,
    /// The output's name, mostly `out`.
    pub output_name: StorePathName,
}

impl BuildTraceKey {
    /// Where a binary cache keeps the entry.
    pub fn file_name(&self) -> String {
        format!("build-trace-v2/{}/{}.doi", self.drv_path, self.output_name)
    }
}

/// What Nix 2.35 and newer keep at [`BuildTraceKey::file_name`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildTraceEntry {
    // In the order of Nix's JSON, which sorts its keys.
    /// What the output turned out to be.
    pub out_path: StorePath,
    /// Signatures over key and value, none of them checked yet.
    #[serde(default, with = "signature_objects")]
    pub signatures: BTreeSet<Signature>,
}

impl BuildTraceEntry {
    /// Reads the contents of a `.doi` file.
    pub fn parse(text: &[u8]) -> Result<Self, RealisationError> {
        parse(text)
    }

    /// Writes the contents of a `.doi` file.
    pub fn render(&self) -> String {
        render(self)
    }

    /// The text that signatures are made over: key and value as JSON, without the signatures.
    pub fn fingerprint(&self, key: &BuildTraceKey) -> String {
        #[derive(Serialize)]
        struct Signed<'a> {
            key: &'a BuildTraceKey,
            value: Unsigned<'a>,
        }

        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Unsigned<'a> {
            out_path: &'a StorePath,
        }

        render(&Signed { key, value: Unsigned { out_path: &self.out_path } })
    }

    /// Adds a signature by this key, keeping those of others.
    pub fn sign(&mut self, key: &BuildTraceKey, secret: &SecretKey) {
        self.signatures.insert(secret.sign(&self.fingerprint(key)));
    }

    /// Whether this key has truly signed it.
    pub fn is_signed_by(&self, key: &BuildTraceKey, public: &PublicKey) -> bool {
        let fingerprint = self.fingerprint(key);
        self.signatures.iter().any(|signature| public.verify(&fingerprint, signature))
    }
}

/// Signatures as objects of name and base 64, where everything else in Nix has them as one text.
mod signature_objects {
    use serde::de::{Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{BTreeSet, Deserialize, Serialize, Signature, base64};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        key_name: String,
        sig: String,
    }

    pub(super) fn serialize<S: Serializer>(signatures: &BTreeSet<Signature>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(signatures.iter().map(|signature| Wire {
            key_name: signature.key_name().to_string(),
            sig: base64::encode(signature.as_bytes()),
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Signature>, D::Error> {
        Vec::<Wire>::deserialize(deserializer)?
            .into_iter()
            .map(|Wire { key_name, sig }| format!("{key_name}:{sig}").parse().map_err(D::Error::custom))
            .collect()
    }
}
