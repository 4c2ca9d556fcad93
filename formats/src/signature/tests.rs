use super::*;

fn key(name: &str, seed: u8) -> SecretKey {
    SecretKey::generate(name.parse().unwrap(), [seed; 32])
}

#[test]
fn signs_and_verifies() {
    let secret = key("cache.example.org-1", 1);
    let signature = secret.sign("1;/nix/store/…");
    let public = secret.public_key();
    assert!(public.verify("1;/nix/store/…", &signature));
    assert!(!public.verify("1;/nix/store/", &signature));
    assert!(!key("cache.example.org-1", 2).public_key().verify("1;/nix/store/…", &signature));
    // The right key under another name does not count: clients look keys up by name.
    assert!(!key("cache.example.org-2", 1).public_key().verify("1;/nix/store/…", &signature));
    let mut forged = signature;
    forged.bytes[0] ^= 1;
    assert!(!public.verify("1;/nix/store/…", &forged));
}

#[test]
fn texts_round_trip() {
    let secret = key("k", 7);
    let text = secret.to_text();
    assert_eq!(text.len(), 2 + 88);
    assert_eq!(format!("{text}\n").parse::<SecretKey>().unwrap().to_text(), text);
    let public = secret.public_key();
    assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
    let signature = secret.sign("x");
    assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
    assert_eq!(signature.key_name().as_str(), "k");
    let json = serde_json::to_string(&(&public, &signature)).unwrap();
    assert_eq!(serde_json::from_str::<(PublicKey, Signature)>(&json).unwrap(), (public, signature));
}

#[test]
fn debug_keeps_the_secret() {
    let secret = key("k", 7);
    assert_eq!(format!("{secret:?}"), "k:<secret>");
}

#[test]
fn keys_are_refused() {
    let secret = |text: &str| text.parse::<SecretKey>().unwrap_err();
    assert_eq!(secret(""), KeyError::NoColon);
    assert_eq!(secret("name"), KeyError::NoColon);
    assert_eq!(secret(":AAAA"), KeyError::NameEmpty);
    assert_eq!(secret("a b:AAAA"), KeyError::NameSymbol);
    assert_eq!(secret("a\u{a0}b:AAAA"), KeyError::NameSymbol);
    assert_eq!(secret(&format!("{}:AAAA", "n".repeat(256))), KeyError::NameTooLong { length: 256 });
    assert_eq!(secret("a:!!!!"), KeyError::Base64);
    assert_eq!(secret("a:AAA"), KeyError::Base64);
    assert_eq!(secret("a:AAAA"), KeyError::Length { length: 3, expected: 64 });
    // Halves of two different keys.
    let (one, two) = (key("a", 1), key("a", 2));
    let mut mixed = one.key.to_keypair_bytes();
    mixed[32..].copy_from_slice(two.key.verifying_key().as_bytes());
    assert_eq!(secret(&format!("a:{}", base64::encode(&mixed))), KeyError::NotAKey);
    // y = 2 is on no point of the curve.
    let mut off = [0; 32];
    off[0] = 2;
    assert_eq!(format!("a:{}", base64::encode(&off)).parse::<PublicKey>().unwrap_err(), KeyError::NotAKey);
}

#[test]
fn signatures_are_refused() {
    let refused = |text: &str| text.parse::<Signature>().unwrap_err();
    let good = key("k", 1).sign("x").to_string();
    let base64 = good.strip_prefix("k:").unwrap();
    assert_eq!(refused("nokey"), SignatureError::NoColon);
    assert_eq!(refused(&format!(":{base64}")), SignatureError::Name(KeyError::NameEmpty));
    assert_eq!(refused("k:"), SignatureError::Length { length: 0 });
    assert_eq!(refused("k:AAAA"), SignatureError::Length { length: 3 });
    assert_eq!(refused(&format!("{good}\n")), SignatureError::Base64);
    assert_eq!(refused(&good[..good.len() - 2]), SignatureError::Base64);
    assert_eq!(refused(&format!("k:k:{base64}")), SignatureError::Base64);
    // Padding in the middle: 1 + 63 bytes.
    let padded_first = format!("k:AA=={}", &base64[..84]);
    assert_eq!(refused(&padded_first), SignatureError::Base64);
}

#[test]
fn order_is_that_of_the_text() {
    let mut signatures: Vec<Signature> =
        ["a", "a-b", "a.b", "ab", "A"].iter().flat_map(|name| (0..4).map(|seed| key(name, seed).sign("x"))).collect();
    signatures.sort();
    let mut texts: Vec<String> = signatures.iter().map(ToString::to_string).collect();
    let as_sorted = texts.clone();
    texts.sort();
    assert_eq!(as_sorted, texts);
}
