//! Signatures and public keys have one spelling; secret keys may have white space behind them.
#![no_main]

use formats::{PublicKey, SecretKey, Signature};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(signature) = text.parse::<Signature>() {
        assert_eq!(signature.to_string(), text);
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = text.parse::<SecretKey>() {
        assert_eq!(key.to_text(), text.trim_ascii_end());
        assert!(key.public_key().verify("1;", &key.sign("1;")));
    }
});
