//! Ed25519 signatures over path fingerprints, and the keys that make and check them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::base64;
use crate::text::serde_as_text;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no colon between name and key.
    #[error("a key is written name:base64")]
    NoColon,
    /// The name is empty.
    #[error("the name of a key is empty")]
    NameEmpty,
    /// The name has a colon, white space or a control character.
    #[error("the name of a key has no colon, white space or control characters")]
    NameSymbol,
    /// The name is absurdly long.
    #[error("the name of a key has {length} bytes, more than {max}", max = KeyName::MAX_LEN)]
    NameTooLong {
        /// Its length.
        length: usize,
    },
    /// The key is not padded base 64.
    #[error("the key is not base 64")]
    Base64,
    /// The key has the wrong number of bytes.
    #[error("the key has {length} bytes instead of {expected}")]
    Length {
        /// The number of bytes given.
        length: usize,
        /// The number of bytes of such a key.
        expected: usize,
    },
    /// The bytes are no point of the curve, or the secret key's public half is not its own.
    #[error("the bytes are not an Ed25519 key")]
    NotAKey,
}

/// Why a text is not a signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no colon between name and signature.
    #[error("a signature is written name:base64")]
    NoColon,
    /// The part before the colon cannot name a key.
    #[error("the signature's key name is not valid")]
    Name(#[source] KeyError),
    /// The signature is not padded base 64.
    #[error("the signature is not base 64")]
    Base64,
    /// The signature has the wrong number of bytes.
    #[error("the signature has {length} bytes instead of 64")]
    Length {
        /// The number of bytes given.
        length: usize,
    },
}

/// The name of a key, by which a client finds the key that a signature claims.
///
/// Nix forbids only the colon; white space is refused too, since `trusted-public-keys` is separated by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The longest name that is accepted.
    pub const MAX_LEN: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        if name.is_empty() {
            return Err(KeyError::NameEmpty);
        }
        if name.len() > Self::MAX_LEN {
            return Err(KeyError::NameTooLong { length: name.len() });
        }
        if name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control()) {
            return Err(KeyError::NameSymbol);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signing key with its name. Its text is only given out by [`SecretKey::to_text`].
#[derive(Clone)]
pub struct SecretKey {
    name: KeyName,
    key: SigningKey,
}

impl SecretKey {
    /// Makes the key that belongs to a seed, which must come from a secure source of randomness.
    pub fn generate(name: KeyName, seed: [u8; 32]) -> Self {
        Self { name, key: SigningKey::from_bytes(&seed) }
    }

    /// The key's name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The half that clients put into `trusted-public-keys`.
    pub fn public_key(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs a fingerprint as Nix does: the bare bytes, no prehash.
    pub fn sign(&self, fingerprint: &str) -> Signature {
        Signature { key_name: self.name.clone(), bytes: self.key.sign(fingerprint.as_bytes()).to_bytes() }
    }

    /// The contents of a secret key file, without a newline. Secret.
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.name, base64::encode(&self.key.to_keypair_bytes()))
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    /// Reads a secret key file as `nix key generate-secret` writes it; white space at its end is ignored.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = split_key::<64>(text.trim_ascii_end())?;
        let key = SigningKey::from_keypair_bytes(&bytes).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { name, key })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:<secret>", self.name)
    }
}

/// A key that checks signatures, with the name it is known by.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    key: VerifyingKey,
}

impl PublicKey {
    /// The key's name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Whether the signature is by this key, in name and in fact.
    pub fn verify(&self, fingerprint: &str, signature: &Signature) -> bool {
        self.name == signature.key_name
            && self
                .key
                .verify_strict(fingerprint.as_bytes(), &ed25519_dalek::Signature::from_bytes(&signature.bytes))
                .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = split_key::<32>(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { name, key })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, base64::encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn split_key<const N: usize>(text: &str) -> Result<(KeyName, [u8; N]), KeyError> {
    let (name, text) = text.split_once(':').ok_or(KeyError::NoColon)?;
    let name = name.parse()?;
    let bytes = base64::decode(text).map_err(|_| KeyError::Base64)?;
    let length = bytes.len();
    let bytes = bytes.try_into().map_err(|_| KeyError::Length { length, expected: N })?;
    Ok((name, bytes))
}

/// A signature and the name of the key that is said to have made it.
///
/// Sorts as its text does, the order in which Nix writes `Sig` lines.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    key_name: KeyName,
    bytes: [u8; 64],
}

impl Signature {
    /// The name of the key that is said to have made it.
    pub const fn key_name(&self) -> &KeyName {
        &self.key_name
    }

    /// The bare signature.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.bytes
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let (name, text) = text.split_once(':').ok_or(SignatureError::NoColon)?;
        let key_name = name.parse().map_err(SignatureError::Name)?;
        let bytes = base64::decode(text).map_err(|_| SignatureError::Base64)?;
        let length = bytes.len();
        let bytes = bytes.try_into().map_err(|_| SignatureError::Length { length })?;
        Ok(Self { key_name, bytes })
    }
}

impl Ord for Signature {
    fn cmp(&self, other: &Self) -> Ordering {
        // The colon and the base-64 alphabet sort otherwise than names and bytes do.
        self.to_string().cmp(&other.to_string())
    }
}

impl PartialOrd for Signature {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, base64::encode(&self.bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(KeyName, PublicKey, Signature);

#[cfg(test)]
mod tests;
