//! The exchange of identities for tokens: CI shows what its own issuer says of a job, and gets a token for that job.
//!
//! Only issuers that a rule names are ever asked for anything. An identity is verified with its issuer's keys before anything that it
//! says is believed, and then compared with the rules in turn. Why it was refused is for the log; whoever showed it learns nothing.

mod identity;
mod issuer;

use std::{collections::BTreeMap, sync::Arc};

use formats::Sha256;
use protocol::{Timestamp, admin::ExchangeOffer};

use crate::config::{self, TrustRule};
use identity::{Identity, IdentityError};
use issuer::{Issuer, IssuerError};

/// The longest identity token that is looked at.
const MAX_IDENTITY: usize = 16 << 10;
/// The longest subject that a token gets.
const MAX_SUBJECT: usize = 256;

/// The rules, and the issuers that they name.
#[derive(Debug)]
pub struct Exchange {
    rules: Vec<TrustRule>,
    issuers: BTreeMap<String, Arc<Issuer>>,
}

/// An identity that fits a rule.
#[derive(Debug)]
pub struct Trusted<'a> {
    /// The rule.
    pub rule: &'a TrustRule,
    /// Whom the token is for: the rule, and who the identity says it is.
    pub subject: String,
    /// Names the identity, if it is good for one exchange only.
    pub proof: Option<[u8; 32]>,
}

/// Why an identity is not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not good, whatever the rules say.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No rule names its issuer.
    #[error("no rule names the issuer {0:?}")]
    Issuer(String),
    /// Its issuer cannot be asked, or does not know the key.
    #[error(transparent)]
    Keys(#[from] IssuerError),
    /// It fits no rule.
    #[error("it fits no rule: {}", .0.join("; "))]
    Rules(Vec<String>),
}

impl Refusal {
    /// Tells whether it may be different in a while.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Keys(IssuerError::Unreachable { .. }))
    }
}

impl Exchange {
    /// Takes the rules. Nothing is asked of any issuer yet.
    ///
    /// # Errors
    /// If there are rules, and the machine has no CA certificates to check their issuers with.
    pub fn new(config: &config::Exchange) -> Result<Self, reqwest::Error> {
        let mut issuers = BTreeMap::new();
        for rule in &config.rules {
            let may_be_http = config.rules.iter().any(|other| other.issuer == rule.issuer && other.allow_http);
            if !issuers.contains_key(&rule.issuer) {
                issuers.insert(rule.issuer.clone(), Arc::new(Issuer::new(&rule.issuer, may_be_http)?));
            }
        }
        Ok(Self { rules: config.rules.clone(), issuers })
    }

    /// What an identity must be for; nothing if none is taken.
    #[must_use]
    pub fn offer(&self) -> Option<ExchangeOffer> {
        let mut audiences: Vec<String> = Vec::new();
        for rule in &self.rules {
            if !audiences.contains(&rule.audience) {
                audiences.push(rule.audience.clone());
            }
        }
        (!audiences.is_empty()).then_some(ExchangeOffer { audiences })
    }

    /// Finds the rule that an identity fits.
    ///
    /// # Errors
    /// As [`Refusal`] says, for the log.
    pub async fn trust(&self, identity: &str, now: Timestamp) -> Result<Trusted<'_>, Refusal> {
        if identity.len() > MAX_IDENTITY {
            return Err(IdentityError::TooLong.into());
        }
        // Not believed yet: it picks whom to ask, among those that the configuration names.
        let claimed = identity::claimed_issuer(identity)?;
        let issuer = self.issuers.get(&claimed).ok_or_else(|| Refusal::Issuer(shown(&claimed)))?;
        let header = identity::header(identity)?;
        let key = issuer.key(header.kid.as_deref(), now).await?;
        let verified = Identity::verify(identity, &header, &key, now)?;
        let mut reasons = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.issuer == claimed) {
            match verified.fits(rule) {
                Ok(()) => {
                    let mut subject = format!("{}/{}", rule.name, verified.subject());
                    subject.truncate(subject.floor_char_boundary(MAX_SUBJECT));
                    let proof = rule.single_use.then(|| proof(&claimed, verified.name(identity)));
                    return Ok(Trusted { rule, subject, proof });
                }
                Err(mismatch) => reasons.push(format!("{}: {mismatch}", rule.name)),
            }
        }
        Err(Refusal::Rules(reasons))
    }
}

/// What names one identity token among all.
fn proof(issuer: &str, name: &str) -> [u8; 32] {
    *Sha256::digest_of(format!("{issuer}\0{name}").as_bytes()).as_bytes()
}

/// A text of a stranger's, for the log.
fn shown(text: &str) -> String {
    text[..text.floor_char_boundary(200)].to_owned()
}
