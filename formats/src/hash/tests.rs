use super::*;

/// `abc` under every algorithm, from the algorithms' own specifications.
const ABC: [(HashAlgorithm, &str); 5] = [
    (HashAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
    (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        HashAlgorithm::Sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    (HashAlgorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
];

#[test]
fn digests_are_right() {
    for (algorithm, hex) in ABC {
        assert_eq!(Hash::digest_of(algorithm, b"abc").to_hex(), format!("{algorithm}:{hex}"));
    }
}

#[test]
fn every_spelling_reads_the_same() {
    for (algorithm, hex) in ABC {
        let hash: Hash = format!("{algorithm}:{hex}").parse().unwrap();
        assert_eq!(hash.algorithm(), algorithm);
        assert_eq!(hash.digest().len(), algorithm.digest_len());
        let base64 = hash.to_sri().replace('-', ":");
        for text in
            [hash.to_nix32(), hash.to_hex(), hash.to_sri(), base64, format!("{algorithm}:{}", hex.to_uppercase())]
        {
            assert_eq!(text.parse::<Hash>().unwrap(), hash, "{text}");
        }
        assert_eq!(hash.to_string(), hash.to_nix32());
    }
}

#[test]
fn nix_spells_abc_so() {
    // From `nix hash convert`.
    let hash = Hash::digest_of(HashAlgorithm::Sha256, b"abc");
    assert_eq!(hash.to_nix32(), "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");
    assert_eq!(hash.to_sri(), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

#[test]
fn refusals() {
    let refused = |text: &str| text.parse::<Hash>().unwrap_err();
    assert_eq!(refused(""), HashError::NoAlgorithm);
    assert_eq!(refused("sha256"), HashError::NoAlgorithm);
    assert_eq!(refused("sha3:00"), HashError::UnknownAlgorithm);
    assert_eq!(refused("SHA256:00"), HashError::UnknownAlgorithm);
    assert_eq!(refused("md5:00"), HashError::Length { algorithm: HashAlgorithm::Md5, length: 2 });
    let hex = ABC[2].1;
    // SRI is base 64 only.
    assert_eq!(refused(&format!("sha256-{hex}")), HashError::Length { algorithm: HashAlgorithm::Sha256, length: 64 });
    assert_eq!(refused(&format!("sha256:g{}", &hex[1..])), HashError::Symbol { position: 0 });
    assert!(matches!(refused(&format!("sha256:{}e", "0".repeat(51))), HashError::Base32(_)));
    // Multi-byte characters are counted in bytes and never split.
    assert!(matches!(refused(&format!("md5:{}", "é".repeat(13))), HashError::Base32(_)));
    assert!("sha1:a9993e364706816aba3e25717850c26c9cd0d89d".parse::<NarHash>().is_err());
}

#[test]
fn newtypes_share_text_and_bytes() {
    let nar: NarHash = "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s".parse().unwrap();
    assert_eq!(nar.nix32(), "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");
    assert_eq!(nar, NarHash::digest_of(b"abc"));
    assert_eq!(Sha256::from(nar).as_bytes(), nar.as_bytes());
    let json = serde_json::to_string(&nar).unwrap();
    assert_eq!(json, format!("\"sha256:{}\"", nar.nix32()));
    assert_eq!(serde_json::from_str::<NarHash>(&json).unwrap(), nar);
    assert!(serde_json::from_str::<FileHash>("\"sha256:short\"").is_err());
}
