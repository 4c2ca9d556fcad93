//! The keys of tokens: minting and verifying.

use std::fmt;

use data_encoding::BASE64;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind, jwk::Jwk};
use protocol::{Claims, Timestamp};
use serde::Serialize;

use super::secret_file::{self, SecretFileError};
use crate::config::{Jwt, Secret, Signing, Tokens, VerifyingKey};

/// What verifies tokens and, unless only a public key is there, mints them.
pub struct TokenKeys {
    /// The first is that of `[jwt.signing]`.
    verifying: Vec<Verifying>,
    signing: Option<(EncodingKey, Header)>,
    /// What minted tokens say of issuer and audience, so that they are good here.
    issuer: Option<String>,
    audiences: Option<Vec<String>>,
}

/// A key that tokens are checked with.
struct Verifying {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A value that is not base64.
    #[error("the {0} is not base64")]
    NotBase64(&'static str),
    /// A secret so short that it says nothing.
    #[error("the HS256 secret is empty")]
    EmptySecret,
    /// Base64 of something that is no RSA key in PEM.
    #[error("the {what} is not base64 of an RSA key in PEM")]
    NotRsa {
        /// Which value.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
    /// The secret's file.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

/// Why a token is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a JWT with the claims of one of ours.
    #[error("the token is malformed")]
    Malformed,
    /// It is signed with another key, or in another way.
    #[error("the token's signature is not good here")]
    Signature,
    /// Its time is over.
    #[error("the token expired at {}", .0.0)]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("the token is not good before {}", .0.0)]
    NotYet(Timestamp),
    /// It is not from the issuer that this server is bound to.
    #[error("the token is not from the issuer that is trusted here")]
    Issuer,
    /// It is not meant for this server.
    #[error("the token is meant for another audience")]
    Audience,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Only the public key is known.
    #[error("tokens cannot be made here: only the public key is configured")]
    PublicKeyOnly,
    /// The key does not sign.
    #[error("the token cannot be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

impl TokenKeys {
    /// The keys that are configured. Makes the server's own secret if it is to have one and there is none.
    ///
    /// # Errors
    /// If a key is malformed, or its file cannot be read or made.
    pub fn open(config: &Jwt, tokens: &Tokens) -> Result<Self, KeysError> {
        let secret;
        let (algorithm, verifying, signing) = match &config.signing {
            Signing::Hs256Secret(secret) => shared(secret)?,
            Signing::File(path) => {
                secret = secret_file::read(path)?;
                shared(&secret)?
            }
            Signing::OwnFile(path) => {
                secret = secret_file::read_or_make(path)?;
                shared(&secret)?
            }
            Signing::Rs256Secret(key) => rsa_pair(key)?,
            Signing::Rs256PublicKey(key) => rsa_public(key)?,
        };
        let header = Header { kid: tokens.key_id.clone(), ..Header::new(algorithm) };
        let signing = signing.map(|key| (key, header));
        let mut keys =
            vec![Verifying { id: tokens.key_id.clone(), key: verifying, validation: validation(config, algorithm) }];
        for other in &tokens.other_keys {
            let (algorithm, key, _) = match &other.key {
                VerifyingKey::Hs256Secret(secret) => shared(secret)?,
                VerifyingKey::Rs256PublicKey(key) => rsa_public(key)?,
                VerifyingKey::File(path) => shared(&secret_file::read(path)?)?,
            };
            keys.push(Verifying { id: other.key_id.clone(), key, validation: validation(config, algorithm) });
        }
        let (issuer, audiences) = (config.token_bound_issuer.clone(), config.token_bound_audiences.clone());
        Ok(Self { verifying: keys, signing, issuer, audiences })
    }

    /// Tells whether there is a key to sign with.
    #[must_use]
    pub fn can_mint(&self) -> bool {
        self.signing.is_some()
    }

    /// Signs a token that says `claims`, and of issuer and audience what this server asks for.
    ///
    /// # Errors
    /// If there is no key to sign with.
    pub fn mint(&self, claims: &Claims) -> Result<String, MintError> {
        #[derive(Serialize)]
        struct Minted<'a> {
            #[serde(flatten)]
            claims: &'a Claims,
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a [String]>,
        }
        let (key, header) = self.signing.as_ref().ok_or(MintError::PublicKeyOnly)?;
        let issuer = claims.iss.clone().or_else(|| self.issuer.clone());
        let claims = Claims { iss: issuer, ..claims.clone() };
        let minted = Minted { claims: &claims, aud: self.audiences.as_deref() };
        jsonwebtoken::encode(header, &minted, key).map_err(MintError::Signing)
    }

    /// What a token says, if it is good at `now`.
    ///
    /// # Errors
    /// Says why it is not.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let claims = self.signed(token)?;
        if claims.exp.plus(Claims::LEEWAY) < now {
            return Err(TokenError::Expired(claims.exp));
        }
        match claims.nbf {
            Some(nbf) if nbf > now.plus(Claims::LEEWAY) => Err(TokenError::NotYet(nbf)),
            _ => Ok(claims),
        }
    }

    /// What a token says, if one of the keys signed it.
    ///
    /// A `kid` picks the keys of that name. One that names no key here means nothing, as it does with Attic: then, and without
    /// any, each key is tried.
    fn signed(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| reason(error.kind()))?;
        let named = |key: &&Verifying| header.kid.is_some() && key.id == header.kid;
        let is_named = self.verifying.iter().any(|key| named(&key));
        let mut refused = TokenError::Signature;
        for key in self.verifying.iter().filter(|key| !is_named || named(key)) {
            match jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => match reason(error.kind()) {
                    TokenError::Signature => {}
                    // This key did sign it, so no other has more to say.
                    other => refused = other,
                },
            }
        }
        Err(refused)
    }
}

/// What a token that is signed in this way must say.
fn validation(config: &Jwt, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    // Times are checked against our own clock.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = config.token_bound_audiences.is_some();
    if let Some(issuer) = &config.token_bound_issuer {
        validation.set_issuer(std::slice::from_ref(issuer));
        validation.required_spec_claims.insert("iss".to_owned());
    }
    if let Some(audiences) = &config.token_bound_audiences {
        validation.set_audience(audiences);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}

fn reason(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => TokenError::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => TokenError::Audience,
        // Every other kind is a text that is no JWT of ours; which step found out is of no use to anybody.
        _ => TokenError::Malformed,
    }
}

type Keys = (Algorithm, DecodingKey, Option<EncodingKey>);

fn shared(secret: &Secret) -> Result<Keys, KeysError> {
    let secret = decode("HS256 secret", secret)?;
    if secret.is_empty() {
        return Err(KeysError::EmptySecret);
    }
    Ok((Algorithm::HS256, DecodingKey::from_secret(&secret), Some(EncodingKey::from_secret(&secret))))
}

fn rsa_pair(key: &Secret) -> Result<Keys, KeysError> {
    let what = "RS256 secret";
    let not_rsa = |source| KeysError::NotRsa { what, source };
    let signing = EncodingKey::from_rsa_pem(&decode(what, key)?).map_err(not_rsa)?;
    let public = Jwk::from_encoding_key(&signing, Algorithm::RS256).map_err(not_rsa)?;
    Ok((Algorithm::RS256, DecodingKey::from_jwk(&public).map_err(not_rsa)?, Some(signing)))
}

fn rsa_public(key: &Secret) -> Result<Keys, KeysError> {
    let what = "RS256 public key";
    let key = DecodingKey::from_rsa_pem(&decode(what, key)?).map_err(|source| KeysError::NotRsa { what, source })?;
    Ok((Algorithm::RS256, key, None))
}

/// Base64, broken into lines or not.
pub(super) fn decode(what: &'static str, base64: &Secret) -> Result<Vec<u8>, KeysError> {
    let text: String = base64.expose().split_ascii_whitespace().collect();
    BASE64.decode(text.as_bytes()).map_err(|_| KeysError::NotBase64(what))
}

/// Shows no key.
impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = self.verifying.iter().flat_map(|key| &key.validation.algorithms).collect::<Vec<_>>();
        f.debug_struct("TokenKeys")
            .field("algorithms", &algorithms)
            .field("mints", &self.can_mint())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
