//! Making a token: signed, then written down, then handed out.

use std::time::Duration;

use database::{Database, NewToken, TokenRow};
use protocol::{
    Claims, Scope, Timestamp,
    admin::{Minted, TokenInfo},
};
use rand::RngExt;

use super::{MintError, TokenKeys};

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minting {
    /// Whom or what it is for.
    pub subject: String,
    /// What it may do.
    pub scope: Scope,
    /// How long it is good.
    pub validity: Duration,
    /// Who makes it.
    pub minted_by: String,
    /// The token that they make it with.
    pub parent: Option<String>,
    /// What it is exchanged for, if that is good for one token only.
    pub proof: Option<[u8; 32]>,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum MintingError {
    /// It cannot be signed.
    #[error(transparent)]
    Signing(#[from] MintError),
    /// It cannot be written down.
    #[error(transparent)]
    Registry(#[from] database::Error),
    /// There is one for this proof already.
    #[error("it was exchanged before")]
    ProofUsed,
}

/// A token as admins see it.
#[must_use]
pub fn token_info(row: TokenRow) -> TokenInfo {
    TokenInfo {
        grants: (&row.scope).into(),
        id: row.id,
        subject: row.subject,
        created_at: row.created_at,
        expires_at: row.expires_at,
        minted_by: row.minted_by,
        parent: row.parent,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    }
}

impl Minting {
    /// What the token will say.
    #[must_use]
    pub fn claims(&self, now: Timestamp) -> Claims {
        Claims {
            sub: self.subject.clone(),
            exp: now.plus(self.validity),
            nbf: Some(now),
            iat: Some(now),
            jti: Some(format!("{:032x}", rand::rng().random::<u128>())),
            iss: None,
            scope: self.scope.clone(),
        }
    }

    /// Makes the token and writes it down.
    ///
    /// # Errors
    /// As [`MintingError`] says. Then there is no token.
    pub async fn mint(self, keys: &TokenKeys, database: &dyn Database, now: Timestamp) -> Result<Minted, MintingError> {
        let claims = self.claims(now);
        let token = keys.mint(&claims)?;
        let Claims { sub: subject, exp: expires_at, jti, scope, .. } = claims;
        let id = jti.unwrap_or_default();
        let grants = (&scope).into();
        let Self { minted_by, parent, proof, .. } = self;
        let row = NewToken {
            id: id.clone(),
            subject: subject.clone(),
            scope,
            created_at: now,
            expires_at,
            minted_by,
            parent,
            proof,
            revoked_at: None,
        };
        if !database.register_token(&row).await? {
            return Err(MintingError::ProofUsed);
        }
        let expires_in = u64::try_from(expires_at.0.saturating_sub(now.0)).unwrap_or(0);
        Ok(Minted { token, id, subject, expires_at, expires_in, grants })
    }
}
