//! What is written down of administrative acts.
//!
//! One call does it: [`note`], or `http/audited.rs` around the whole work of a handler. An act that was done and cannot be
//! written down stays done; the log has it then, at the level of an error.

use database::{Act, ActRow, Database, NewAct, Outcome};
use protocol::{CacheName, Timestamp, admin::ActInfo};

use crate::{auth::Caller, config::Environment};

/// Texts in rows are cut to this many bytes: subjects and addresses come from outside.
const MAX_TEXT: usize = 1024;

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The subject of their token, or their name on this machine.
    pub subject: String,
    /// The `jti` of their token.
    pub token: Option<String>,
    /// Where they are; nowhere else than here on the command line.
    pub address: Option<String>,
}

/// What was done, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    act: Act,
    outcome: Outcome,
    cache: Option<CacheName>,
    object: Option<String>,
    detail: Option<String>,
}

impl Who {
    /// Somebody on the command line of this machine.
    #[must_use]
    pub fn operator(environment: &Environment) -> Self {
        let name = |variable| environment.text(variable).ok().flatten();
        let subject = name("SUDO_USER").or_else(|| name("LOGNAME")).or_else(|| name("USER"));
        Self { subject: subject.unwrap_or_else(|| "operator".to_owned()), token: None, address: None }
    }

    /// Whoever makes a request from that address.
    #[must_use]
    pub fn calling(caller: &Caller, address: Option<String>) -> Self {
        let subject = caller.subject().unwrap_or("anonymous").to_owned();
        Self { subject, token: caller.token().map(str::to_owned), address }
    }

    /// A chore of the server itself.
    #[must_use]
    pub fn server() -> Self {
        Self { subject: "server".to_owned(), token: None, address: None }
    }
}

impl Deed {
    /// It was done.
    #[must_use]
    pub const fn done(act: Act) -> Self {
        Self { act, outcome: Outcome::Done, cache: None, object: None, detail: None }
    }

    /// It ended like this.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// It was answered with this error.
    #[must_use]
    pub fn went_wrong(self, status: u16, code: &str) -> Self {
        self.ended(if status >= 500 { Outcome::Failed } else { Outcome::Refused }).detail(code)
    }

    /// On this cache.
    #[must_use]
    pub fn on(self, cache: &CacheName) -> Self {
        Self { cache: Some(cache.clone()), ..self }
    }

    /// On this: a token's id, a path, a name.
    #[must_use]
    pub fn object(self, object: impl Into<String>) -> Self {
        Self { object: Some(object.into()), ..self }
    }

    /// What else there is to know, for people.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// An act as admins see it.
#[must_use]
pub fn info(row: ActRow) -> ActInfo {
    let ActRow { at, subject, token, address, act, cache, object, outcome, detail, .. } = row;
    ActInfo { at, subject, token, address, act, cache, object, outcome, detail }
}

/// Writes an act down, in the log and in the index.
pub async fn note(database: &dyn Database, now: Timestamp, who: &Who, deed: Deed) {
    let Deed { act, outcome, cache, object, detail } = deed;
    let cut = |text: &str| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
    let row = NewAct {
        at: now,
        subject: cut(&who.subject),
        token: who.token.as_deref().map(cut),
        address: who.address.as_deref().map(cut),
        act,
        cache,
        object: object.as_deref().map(cut),
        outcome,
        detail: detail.as_deref().map(cut),
    };
    let (act, outcome) = (act.name(), outcome.name());
    tracing::info!(target: "audit", act, outcome, subject = row.subject, object = row.object, "an administrative act");
    if let Err(error) = database.record_act(&row).await {
        tracing::error!(%error, ?row, "an administrative act could not be written down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_goes_by_the_name_they_came_with() {
        let name = |variables: &[(&str, &str)]| Who::operator(&variables.iter().copied().collect()).subject;
        assert_eq!(name(&[("SUDO_USER", "ada"), ("LOGNAME", "root"), ("USER", "root")]), "ada");
        assert_eq!(name(&[("LOGNAME", "ada"), ("USER", "root")]), "ada");
        assert_eq!(name(&[("USER", "ada")]), "ada");
        assert_eq!(name(&[]), "operator");
    }
}
