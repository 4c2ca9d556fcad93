//! Revoked tokens: they stay so when the index is lost.

use database::{Database, NewToken, TokenRow};
use protocol::Timestamp;

use super::{Journal, JournalError};
use crate::pack::{Record, Revocation};

impl Journal {
    /// Revokes the token with that id; `false` if there is none, or it was revoked before.
    ///
    /// # Errors
    /// If the index or the storage fails; if it is the storage, the token is revoked all the same, and to revoke it again records it.
    pub async fn revoke_token(&self, database: &dyn Database, id: &str, now: Timestamp) -> Result<bool, JournalError> {
        let revoked = database.revoke_token(id, now).await?;
        if let Some(row) = database.find_token(id).await?
            && let Some(at) = row.revoked_at
        {
            self.record(self.stamp(), vec![of_token(row, at)]).await?;
        }
        Ok(revoked)
    }

    /// Revokes the tokens of a subject that were made until `now`, and tells how many in the registry were good until then.
    ///
    /// # Errors
    /// As [`Journal::revoke_token`].
    pub async fn revoke_subject(
        &self,
        database: &dyn Database,
        subject: &str,
        now: Timestamp,
    ) -> Result<u64, JournalError> {
        let revoked = database.revoke_subject(subject, now).await?;
        let revocation = Revocation::Subject { subject: subject.to_owned(), at: now.0 };
        self.record(self.stamp(), vec![Record::Revocation(revocation)]).await?;
        Ok(revoked)
    }

    /// Writes down that a token from elsewhere is revoked; `false` if the registry has one of its id.
    ///
    /// # Errors
    /// As [`Journal::revoke_token`].
    pub async fn register_revoked(&self, database: &dyn Database, token: &NewToken) -> Result<bool, JournalError> {
        let registered = database.register_token(token).await?;
        if registered {
            self.revoke_token(database, &token.id, token.revoked_at.unwrap_or(token.created_at)).await?;
        }
        Ok(registered)
    }
}

fn of_token(row: TokenRow, at: Timestamp) -> Record {
    Record::Revocation(Revocation::Token {
        id: row.id,
        subject: row.subject,
        scope: row.scope,
        created_at: row.created_at.0,
        expires_at: row.expires_at.0,
        minted_by: row.minted_by,
        at: at.0,
    })
}
