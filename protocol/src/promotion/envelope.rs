//! DSSE envelopes: a text and signatures over it and its kind.

use data_encoding::BASE64;
use formats::{KeyName, PublicKey, SecretKey, Signature};
use serde::{Deserialize, Serialize};

/// The kind of payload that a statement of in-toto is.
pub const STATEMENT_PAYLOAD: &str = "application/vnd.in-toto+json";

/// A text and signatures over it and its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The kind of text.
    pub payload_type: String,
    /// The text, in base 64.
    pub payload: String,
    /// The signatures.
    pub signatures: Vec<EnvelopeSignature>,
}

/// A signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// The name of the key.
    pub keyid: String,
    /// The signature, in base 64.
    pub sig: String,
}

impl Envelope {
    /// Puts a text into an envelope.
    #[must_use]
    pub fn seal(payload_type: &str, payload: &str, key: &SecretKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(payload_type, payload));
        let sig = BASE64.encode(signature.as_bytes());
        let signatures = vec![EnvelopeSignature { keyid: key.name().to_string(), sig }];
        Self { payload_type: payload_type.to_owned(), payload: BASE64.encode(payload.as_bytes()), signatures }
    }

    /// The text, whoever signed it; nothing if it is not base 64 of UTF-8.
    #[must_use]
    pub fn open(&self) -> Option<String> {
        String::from_utf8(BASE64.decode(self.payload.as_bytes()).ok()?).ok()
    }

    /// Which of these keys have signed it.
    #[must_use]
    pub fn signed_by(&self, keys: &[PublicKey]) -> Vec<KeyName> {
        let Some(payload) = self.open() else { return Vec::new() };
        let signed = pre_authentication_encoding(&self.payload_type, &payload);
        let good = self.signatures.iter().filter_map(|one| {
            let signature: Signature = format!("{}:{}", one.keyid, one.sig).parse().ok()?;
            keys.iter().find(|key| key.verify(&signed, &signature)).map(|key| key.name().clone())
        });
        good.collect()
    }
}

/// What is signed in place of a text: its kind and itself, each with its length.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &str) -> String {
    format!("DSSEv1 {} {payload_type} {} {payload}", payload_type.len(), payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_signed_with_its_kind() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", "hello world");
        assert_eq!(encoded, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        let key = |name: &str, seed| SecretKey::generate(name.parse().unwrap(), [seed; 32]);
        let (mine, other) = (key("ci-1", 1), key("ci-1", 2));
        let envelope = Envelope::seal("a/b", "{}", &mine);
        assert_eq!(envelope.open().as_deref(), Some("{}"));
        assert_eq!(envelope.signed_by(&[other.public_key(), mine.public_key()]), [mine.name().clone()]);
        assert_eq!(envelope.signed_by(&[other.public_key()]), []);
        let moved = Envelope { payload_type: "a/c".to_owned(), ..envelope.clone() };
        assert_eq!(moved.signed_by(&[mine.public_key()]), []);
        let garbage = Envelope { payload: "?".to_owned(), ..envelope };
        assert_eq!((garbage.open(), garbage.signed_by(&[mine.public_key()])), (None, vec![]));
    }
}
