//! An identity token: verified first, then compared with a rule.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, Header, Validation};
use protocol::{Claims, Timestamp};
use serde_json::{Map, Value};

use super::{issuer::IssuerKey, shown};
use crate::config::TrustRule;

/// How identities may be signed: with a key that only its issuer has.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a verified identity token says.
#[derive(Debug)]
pub(super) struct Identity(Map<String, Value>);

/// Why an identity token is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It is no JWT.
    #[error("it is no JWT that says who issued it")]
    Malformed,
    /// It is longer than any that we know of.
    #[error("it is longer than 16 KiB")]
    TooLong,
    /// It is signed in a way that anybody could.
    #[error("it is signed with {0:?}, which is not trusted")]
    Algorithm(Algorithm),
    /// The key is for another way of signing.
    #[error("it is signed with {0:?}, and its key is for something else")]
    KeyMismatch(Algorithm),
    /// Somebody else signed it, or it was changed.
    #[error("its signature is not its issuer's")]
    Signature,
    /// Its time is over, or it does not say when it is.
    #[error("it expired, or does not say when it does")]
    Expired,
    /// Its time has not come.
    #[error("it is from the future")]
    Future,
}

/// What a token says of itself before anything is verified.
pub(super) fn header(token: &str) -> Result<Header, IdentityError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| IdentityError::Malformed)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(IdentityError::Algorithm(header.alg));
    }
    Ok(header)
}

/// The issuer that a token names, before anything is verified.
pub(super) fn claimed_issuer(token: &str) -> Result<String, IdentityError> {
    let read = || {
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        claims.get("iss")?.as_str().map(str::to_owned)
    };
    read().ok_or(IdentityError::Malformed)
}

impl Identity {
    /// Checks the signature and the times.
    pub(super) fn verify(token: &str, header: &Header, key: &IssuerKey, now: Timestamp) -> Result<Self, IdentityError> {
        if key.algorithm.is_some_and(|algorithm| algorithm != header.alg) {
            return Err(IdentityError::KeyMismatch(header.alg));
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        // Times are checked against our own clock, below, and the audience against each rule.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = decoded.map_err(|_| IdentityError::Signature)?.claims;
        let time = |name: &str| claims.get(name).and_then(seconds);
        let leeway = Claims::LEEWAY;
        if time("exp").is_none_or(|exp| exp.plus(leeway) < now) {
            return Err(IdentityError::Expired);
        }
        if ["nbf", "iat"].into_iter().filter_map(time).any(|from| from > now.plus(leeway)) {
            return Err(IdentityError::Future);
        }
        Ok(Self(claims))
    }

    /// Compares it with a rule; the error says what does not fit.
    pub(super) fn fits(&self, rule: &TrustRule) -> Result<(), String> {
        let audiences = texts(self.0.get("aud"));
        if !audiences.contains(&rule.audience) {
            return Err(format!("it is for {:?}, not for {:?}", shown(&audiences.join(", ")), rule.audience));
        }
        for (name, patterns) in &rule.claims {
            let values = texts(self.0.get(name));
            if values.is_empty() {
                return Err(format!("it does not say its {name}"));
            }
            if !values.iter().any(|value| patterns.match_text(value)) {
                return Err(format!("its {name} is {:?}, not {patterns}", shown(&values.join(", "))));
            }
        }
        Ok(())
    }

    /// Who it is, as its issuer says.
    pub(super) fn subject(&self) -> String {
        let text = self.0.get("sub").and_then(Value::as_str).unwrap_or("?");
        text.chars().filter(|c| !c.is_control()).collect()
    }

    /// What tells it from other tokens of its issuer: its `jti`, else all that was signed. The signature is no part of it: some ways
    /// of signing have several good ones.
    pub(super) fn name<'a>(&'a self, token: &'a str) -> &'a str {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        self.0.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty()).unwrap_or(signed)
    }
}

/// The texts that a claim has: one, several, or none. Numbers and truths are written out.
fn texts(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => vec![text.clone()],
        Some(value @ (Value::Bool(_) | Value::Number(_))) => vec![value.to_string()],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Null | Value::Object(_)) | None => Vec::new(),
    }
}

/// A time, whole or with a fraction.
fn seconds(value: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates, which is as far away")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64)).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(claims: &str) -> TrustRule {
        let text = format!(
            "name = \"r\"\nissuer = \"https://i.example\"\naudience = \"us\"\nclaims = {claims}\n\
             grants = {{ main = [\"pull\"] }}"
        );
        toml::from_str(&text).unwrap()
    }

    fn fits(claims: &Value, of_rule: &str) -> Result<(), String> {
        Identity(claims.as_object().unwrap().clone()).fits(&rule(of_rule))
    }

    #[test]
    fn every_claim_of_a_rule_must_fit() {
        let job = json!({"aud": ["other", "us"], "repository": "acme/app", "run": 7, "protected": true, "groups": ["a", "b"]});
        for good in [
            "{ repository = \"acme/app\" }",
            "{ repository = \"acme/*\", run = \"7\", protected = \"true\" }",
            "{ repository = [\"x\", \"*/app\"], groups = \"b\" }",
        ] {
            assert_eq!(fits(&job, good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("{ repository = \"acme/ap\" }", "its repository is \"acme/app\", not acme/ap"),
            ("{ repository = \"acme/app\", ref = \"*\" }", "it does not say its ref"),
            ("{ protected = [\"false\", \"no\"] }", "its protected is \"true\", not false or no"),
            ("{ groups = \"c\" }", "its groups is \"a, b\", not c"),
        ] {
            assert_eq!(fits(&job, bad), Err(why.to_owned()));
        }
        let mut other = job;
        other["aud"] = "them".into();
        assert_eq!(fits(&other, "{ run = \"7\" }"), Err("it is for \"them\", not for \"us\"".to_owned()));
    }

    #[test]
    fn a_shared_secret_or_no_signature_is_not_looked_at() {
        let token = |header: &str| format!("{}.e30.", BASE64URL_NOPAD.encode(header.as_bytes()));
        assert_eq!(header(&token(r#"{"alg":"HS256"}"#)).unwrap_err(), IdentityError::Algorithm(Algorithm::HS256));
        for bad in [r#"{"alg":"none"}"#, r#"{"alg":"rs256"}"#, "{}", "x"] {
            assert_eq!(header(&token(bad)).unwrap_err(), IdentityError::Malformed, "{bad}");
        }
        for bad in ["", "a.b.c", "e30.e30.", "..", "e30.eyJpc3MiOjF9."] {
            assert_eq!(claimed_issuer(bad), Err(IdentityError::Malformed), "{bad}");
        }
    }
}
