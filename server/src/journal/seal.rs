//! The seal: secret keys of caches never stand in clear in a bucket.
//!
//! ChaCha20-Poly1305 under a key that HKDF-SHA256 derives from the server's token secret, for this use only. A sealed key is bound to
//! its cache, its use and its public half, so it cannot be put in the place of another.

use std::fmt;

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use data_encoding::BASE64;
use formats::{PublicKey, SecretKey};
use protocol::CacheName;

/// Says what the derived key is for. Another use of the same secret, or another way of sealing, has another text.
const PURPOSE: &[u8] = b"flywheel-cache: signing keys in the storage, v1";

/// What a sealed key is for: one cannot be put in the place of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It signs the narinfos of a cache.
    Cache,
    /// It signs the views of a cache.
    Promotion,
}

/// Seals and opens secret keys.
pub struct Seal(LessSafeKey);

/// Why a sealed key cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with another secret, or is damaged.
    #[error("it was sealed with another token secret")]
    OtherSecret,
    /// What was sealed is no key, or another one.
    #[error("what was sealed is not this key")]
    NotThisKey,
}

impl Seal {
    /// The seal that belongs to a secret; none if the secret is empty.
    #[must_use]
    pub fn of(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        let purpose = [PURPOSE];
        let okm = derived.expand(&purpose, &CHACHA20_POLY1305).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// A key of `cache`, sealed, in base64.
    #[must_use]
    pub fn close(&self, cache: &CacheName, of: KeyUse, key: &SecretKey) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = key.to_text().into_bytes();
        let bound = Aad::from(bound_to(cache, of, &key.public_key()));
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut sealed).ok()?;
        Some(BASE64.encode(&[&nonce[..], &sealed].concat()))
    }

    /// The key of `cache` that [`Seal::close`] sealed.
    ///
    /// # Errors
    /// If it is not to be had with this secret.
    pub fn open(
        &self,
        cache: &CacheName,
        of: KeyUse,
        public: &PublicKey,
        sealed: &str,
    ) -> Result<SecretKey, SealError> {
        let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| SealError::OtherSecret)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealError::OtherSecret)?;
        let mut sealed = sealed.to_vec();
        let bound = Aad::from(bound_to(cache, of, public));
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut sealed);
        let text =
            std::str::from_utf8(opened.map_err(|_| SealError::OtherSecret)?).map_err(|_| SealError::NotThisKey)?;
        let key: SecretKey = text.parse().map_err(|_| SealError::NotThisKey)?;
        if key.public_key().to_string() == public.to_string() { Ok(key) } else { Err(SealError::NotThisKey) }
    }
}

fn bound_to(cache: &CacheName, of: KeyUse, public: &PublicKey) -> Vec<u8> {
    match of {
        KeyUse::Cache => format!("{cache} {public}"),
        KeyUse::Promotion => format!("promotion {cache} {public}"),
    }
    .into_bytes()
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_opened_with_the_same_secret_only() {
        let cache: CacheName = "main".parse().unwrap();
        let key = SecretKey::generate("main-1".parse().unwrap(), [7; 32]);
        let other = SecretKey::generate("main-1".parse().unwrap(), [8; 32]);
        let seal = Seal::of(b"secret").unwrap();
        let sealed = seal.close(&cache, KeyUse::Cache, &key).unwrap();
        assert_ne!(sealed, seal.close(&cache, KeyUse::Cache, &key).unwrap());
        assert!(
            !BASE64
                .decode(sealed.as_bytes())
                .unwrap()
                .windows(16)
                .any(|w| key.to_text().as_bytes()[7..].starts_with(w))
        );
        let opened = seal.open(&cache, KeyUse::Cache, &key.public_key(), &sealed).unwrap();
        assert_eq!(opened.to_text(), key.to_text());

        let denied = |seal: &Seal, cache: &str, key: &SecretKey, sealed: &str| {
            seal.open(&cache.parse().unwrap(), KeyUse::Cache, &key.public_key(), sealed).unwrap_err()
        };
        assert_eq!(denied(&Seal::of(b"secreT").unwrap(), "main", &key, &sealed), SealError::OtherSecret);
        assert_eq!(denied(&seal, "other", &key, &sealed), SealError::OtherSecret);
        assert_eq!(denied(&seal, "main", &other, &sealed), SealError::OtherSecret);
        for bad in ["", "AAAA", "?"] {
            assert_eq!(denied(&seal, "main", &key, bad), SealError::OtherSecret);
        }
        let elsewhere = seal.open(&cache, KeyUse::Promotion, &key.public_key(), &sealed);
        assert_eq!(elsewhere.unwrap_err(), SealError::OtherSecret);
        assert!(Seal::of(b"").is_none());
    }
}
