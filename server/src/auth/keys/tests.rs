use data_encoding::BASE64URL_NOPAD;
use protocol::Permission;

use super::*;
use crate::config::OtherKey;

/// A token as the deployment's script makes it, with the secret `SECRET`.
const SCRIPTED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjaS1wdXNoIiwiZXhwIjoyMDAwMDAwMDAwLCJodHRwczovL2p3dC5hdHRpYy5ycy92MSI6eyJjYWNoZXMiOnsibWFpbiI6eyJyIjoxLCJ3IjoxfX19fQ.ux1dJo2pkRt28sMqnZ9CDxvDRybarDXNkG8Iccykf1Q";
const SECRET: &str = "c2VjcmV0IG9mIHRoZSBkZXBsb3ltZW50";
const RSA_PAIR: &str = include_str!("../testdata/rs256-secret-for-tests-only.pem");
const RSA_PUBLIC: &str = include_str!("../testdata/rs256-public-pkcs1.pem");
const RSA_PUBLIC_SPKI: &str = include_str!("../testdata/rs256-public-spki.pem");

const NOW: Timestamp = Timestamp(1_900_000_000);

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

fn pem(text: &str) -> Secret {
    BASE64.encode(text.as_bytes()).into()
}

fn open(signing: Signing) -> TokenKeys {
    rotated(signing, &Tokens::default())
}

fn rotated(signing: Signing, tokens: &Tokens) -> TokenKeys {
    TokenKeys::open(&Jwt { token_bound_issuer: None, token_bound_audiences: None, signing }, tokens).unwrap()
}

fn claims(exp: i64, nbf: Option<i64>) -> Claims {
    let claims = r#"{"sub":"ci","exp":0,"https://jwt.attic.rs/v1":{"caches":{"main":{"r":1}}}}"#;
    Claims { exp: Timestamp(exp), nbf: nbf.map(Timestamp), ..serde_json::from_str(claims).unwrap() }
}

#[test]
fn the_deployments_tokens_are_good() {
    let keys = open(Signing::Hs256Secret(secret(SECRET)));
    let claims = keys.verify(SCRIPTED, NOW).unwrap();
    assert_eq!(claims.sub, "ci-push");
    assert!(claims.scope.permissions(&"main".parse().unwrap()).contains(Permission::Push));
    let broken_in_lines = secret(&format!("{}\n{}\n", &SECRET[..10], &SECRET[10..]));
    open(Signing::Hs256Secret(broken_in_lines)).verify(SCRIPTED, NOW).unwrap();
}

#[test]
fn every_kind_of_key_verifies_what_it_mints() {
    let dir = tempfile::tempdir().unwrap();
    for signing in [
        Signing::Hs256Secret(secret(SECRET)),
        Signing::Rs256Secret(pem(RSA_PAIR)),
        Signing::OwnFile(dir.path().join("secret")),
        Signing::File(dir.path().join("secret")),
    ] {
        let keys = open(signing.clone());
        let token = keys.mint(&claims(NOW.0 + 10, None)).unwrap();
        assert_eq!(keys.verify(&token, NOW), Ok(claims(NOW.0 + 10, None)));
        // And so does the next process.
        assert_eq!(open(signing).verify(&token, NOW), Ok(claims(NOW.0 + 10, None)));
    }
}

#[test]
fn a_public_key_verifies_and_does_not_mint() {
    let token = open(Signing::Rs256Secret(pem(RSA_PAIR))).mint(&claims(NOW.0, None)).unwrap();
    for public in [RSA_PUBLIC, RSA_PUBLIC_SPKI] {
        let keys = open(Signing::Rs256PublicKey(pem(public)));
        assert_eq!(keys.verify(&token, NOW).unwrap().sub, "ci");
        assert!(matches!(keys.mint(&claims(NOW.0, None)), Err(MintError::PublicKeyOnly)));
    }
}

#[test]
fn time_counts_with_a_minute_of_leeway() {
    let keys = open(Signing::Hs256Secret(secret(SECRET)));
    let verify = |exp, nbf| {
        let token = keys.mint(&claims(exp, nbf)).unwrap();
        keys.verify(&token, NOW).map(|_| ())
    };
    assert_eq!(verify(NOW.0 - 60, None), Ok(()));
    assert_eq!(verify(NOW.0 - 61, None), Err(TokenError::Expired(Timestamp(NOW.0 - 61))));
    assert_eq!(verify(NOW.0 + 99, Some(NOW.0 + 60)), Ok(()));
    assert_eq!(verify(NOW.0 + 99, Some(NOW.0 + 61)), Err(TokenError::NotYet(Timestamp(NOW.0 + 61))));
}

#[test]
fn a_token_signed_otherwise_is_not_good() {
    let keys = open(Signing::Hs256Secret(secret(SECRET)));
    let (head, signature) = SCRIPTED.rsplit_once('.').unwrap();
    let payload = head.split_once('.').unwrap().1;
    let with_header = |header: &str| format!("{}.{payload}.{signature}", BASE64URL_NOPAD.encode(header.as_bytes()));
    let other_payload = BASE64URL_NOPAD.encode(br#"{"sub":"root","exp":2000000000}"#);
    let rsa = open(Signing::Rs256Secret(pem(RSA_PAIR))).mint(&claims(NOW.0, None)).unwrap();
    for forged in [
        with_header(r#"{"alg":"HS512"}"#),
        with_header(r#"{"alg":"RS256"}"#),
        with_header(r#"{"alg":"HS256","x":1}"#),
        format!("{}.{other_payload}.{signature}", head.split_once('.').unwrap().0),
        format!("{head}.AAAA"),
        rsa,
    ] {
        assert_eq!(keys.verify(&forged, NOW), Err(TokenError::Signature), "{forged}");
    }
    for garbage in
        ["", "x", "a.b.c", "..", &format!("{head}."), &with_header(r#"{"alg":"none"}"#), &"x".repeat(1 << 20)]
    {
        assert!(keys.verify(garbage, NOW).is_err(), "{garbage}");
    }
    // A public key must not pass for a shared secret.
    let confused = open(Signing::Hs256Secret(pem(RSA_PUBLIC))).mint(&claims(NOW.0, None)).unwrap();
    assert_eq!(open(Signing::Rs256PublicKey(pem(RSA_PUBLIC))).verify(&confused, NOW), Err(TokenError::Signature));
}

#[test]
fn issuer_and_audience_are_bound_if_they_are_configured() {
    let bound = |issuer: Option<&str>, audiences: Option<&[&str]>| {
        let jwt = Jwt {
            token_bound_issuer: issuer.map(str::to_owned),
            token_bound_audiences: audiences.map(|a| a.iter().map(|&a| a.to_owned()).collect()),
            signing: Signing::Hs256Secret(secret(SECRET)),
        };
        TokenKeys::open(&jwt, &Tokens::default()).unwrap()
    };
    let strict = bound(Some("https://i"), Some(&["a", "b"]));
    let own = strict.mint(&claims(NOW.0, None)).unwrap();
    assert_eq!(strict.verify(&own, NOW).unwrap().iss.as_deref(), Some("https://i"));
    assert!(bound(None, None).verify(&own, NOW).is_ok());
    assert!(bound(None, Some(&["b", "c"])).verify(&own, NOW).is_ok());
    assert_eq!(bound(None, Some(&["c"])).verify(&own, NOW), Err(TokenError::Audience));
    assert_eq!(bound(Some("https://j"), None).verify(&own, NOW), Err(TokenError::Issuer));
    assert_eq!(bound(Some("https://i"), None).verify(SCRIPTED, NOW), Err(TokenError::Issuer));
    assert_eq!(bound(None, Some(&["a"])).verify(SCRIPTED, NOW), Err(TokenError::Audience));
}

#[test]
fn malformed_keys_are_refused_without_being_shown() {
    let dir = tempfile::tempdir().unwrap();
    for signing in [
        Signing::Hs256Secret(secret("hush!")),
        Signing::Hs256Secret(secret("")),
        Signing::Rs256Secret(pem("hush")),
        Signing::Rs256Secret(pem(RSA_PUBLIC)),
        Signing::Rs256PublicKey(pem("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n")),
        Signing::File(dir.path().join("absent")),
    ] {
        let jwt = Jwt { token_bound_issuer: None, token_bound_audiences: None, signing };
        let error = TokenKeys::open(&jwt, &Tokens::default());
        let error = format!("{:?}", error.unwrap_err());
        assert!(!error.contains("hush"), "{error}");
    }
    let keys = open(Signing::Hs256Secret(secret(SECRET)));
    assert_eq!(format!("{keys:?}"), "TokenKeys { algorithms: [HS256], mints: true, .. }");
}

/// A header's `kid`.
fn kid(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).unwrap().kid
}

#[test]
fn a_key_is_changed_with_an_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let named = |id: &str| Tokens { key_id: Some(id.to_owned()), ..Tokens::default() };
    let other = |id: Option<&str>, key| OtherKey { key_id: id.map(str::to_owned), key };
    let old_file = Signing::OwnFile(dir.path().join("old"));
    let old = open(old_file);
    let without_kid = old.mint(&claims(NOW.0, None)).unwrap();
    assert_eq!(kid(&without_kid), None);

    // The new key signs, the old one verifies: what has no kid is tried with each.
    let in_file = VerifyingKey::File(dir.path().join("old"));
    let both = Tokens { other_keys: vec![other(None, in_file.clone())], ..named("2") };
    let both = rotated(Signing::Rs256Secret(pem(RSA_PAIR)), &both);
    let second = both.mint(&claims(NOW.0, None)).unwrap();
    assert_eq!(kid(&second).as_deref(), Some("2"));
    for token in [&without_kid, &second] {
        assert_eq!(both.verify(token, NOW).unwrap().sub, "ci");
    }
    assert_eq!(old.verify(&second, NOW), Err(TokenError::Signature));

    // Once more; then the oldest one is dropped.
    let public = VerifyingKey::Rs256PublicKey(pem(RSA_PUBLIC));
    let keys = vec![other(Some("2"), public.clone()), other(Some("1"), in_file)];
    let three = rotated(Signing::Hs256Secret(secret(SECRET)), &Tokens { other_keys: keys, ..named("3") });
    let two = Tokens { other_keys: vec![other(Some("2"), public)], ..named("3") };
    let two = rotated(Signing::Hs256Secret(secret(SECRET)), &two);
    let third = two.mint(&claims(NOW.0, None)).unwrap();
    for (token, now_good) in [(&without_kid, false), (&second, true), (&third, true)] {
        assert!(three.verify(token, NOW).is_ok());
        assert_eq!(two.verify(token, NOW).is_ok(), now_good);
    }
}

#[test]
fn a_kid_picks_its_key_and_an_unknown_one_none() {
    let keys = |id: &str| {
        let others =
            vec![OtherKey { key_id: Some("b".to_owned()), key: VerifyingKey::Hs256Secret(secret("b3RoZXI=")) }];
        let tokens = Tokens { key_id: Some(id.to_owned()), other_keys: others, ..Tokens::default() };
        rotated(Signing::Hs256Secret(secret(SECRET)), &tokens)
    };
    // Signed with our key under the name of the other one.
    let misnamed = keys("b").mint(&claims(NOW.0, None)).unwrap();
    assert_eq!(keys("a").verify(&misnamed, NOW), Err(TokenError::Signature));
    // Two keys of one name are both tried, and a name that nobody has does not matter.
    assert!(keys("b").verify(&misnamed, NOW).is_ok());
    let elsewhere = keys("unknown").mint(&claims(NOW.0, None)).unwrap();
    assert!(keys("a").verify(&elsewhere, NOW).is_ok());
    let confused =
        rotated(Signing::Hs256Secret(pem(RSA_PUBLIC)), &Tokens::default()).mint(&claims(NOW.0, None)).unwrap();
    let public = vec![OtherKey { key_id: None, key: VerifyingKey::Rs256PublicKey(pem(RSA_PUBLIC)) }];
    let mixed = rotated(Signing::Hs256Secret(secret(SECRET)), &Tokens { other_keys: public, ..Tokens::default() });
    assert_eq!(mixed.verify(&confused, NOW), Err(TokenError::Signature));
}
