//! The registry of tokens.

use async_trait::async_trait;
use database::{NewToken, Result, Standing, TokenFilter, TokenMark, TokenRef, TokenRow, Tokens};
use protocol::{Claims, Timestamp};

use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
    list::{BATCH, json},
};

struct Row {
    id: String,
    subject: String,
    grants: String,
    created_at: i64,
    expires_at: i64,
    minted_by: String,
    parent: Option<String>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TryFrom<Row> for TokenRow {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            scope: Column("token", "grants").json(&row.grants)?,
            id: row.id,
            subject: row.subject,
            created_at: Timestamp(row.created_at),
            expires_at: Timestamp(row.expires_at),
            minted_by: row.minted_by,
            parent: row.parent,
            last_used_at: row.last_used_at.map(Timestamp),
            revoked_at: row.revoked_at.map(Timestamp),
        })
    }
}

#[async_trait]
impl Tokens for Index {
    async fn register_token(&self, token: &NewToken) -> Result<bool> {
        writing!(self, |transaction| register(transaction, token).await)
    }

    async fn token_standing(&self, token: &TokenRef) -> Result<Standing> {
        asking!(self, |connection| standing(connection, token).await)
    }

    async fn find_token(&self, id: &str) -> Result<Option<TokenRow>> {
        asking!(self, |connection| find(connection, id).await)
    }

    async fn list_tokens(&self, filter: &TokenFilter, after: Option<&TokenMark>, limit: u32) -> Result<Vec<TokenRow>> {
        asking!(self, |connection| list(connection, filter, after, limit).await)
    }

    async fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool> {
        writing!(self, |transaction| revoke(transaction, id, now).await)
    }

    async fn revoke_subject(&self, subject: &str, now: Timestamp) -> Result<u64> {
        writing!(self, |transaction| revoke_subject(transaction, subject, now).await)
    }

    async fn touch_tokens(&self, ids: &[String], now: Timestamp) -> Result<()> {
        noting!(self, |transaction| touch(transaction, ids, now).await)
    }

    async fn prune_tokens(&self, ended: Timestamp, limit: u32) -> Result<u64> {
        writing!(self, |transaction| prune(transaction, ended, limit).await)
    }
}

async fn register(connection: &mut Connection, token: &NewToken) -> Result<bool> {
    let grants = serde_json::to_string(&token.scope).map_err(|e| Column("token", "grants").wrong(e))?;
    let proof = token.proof.as_ref().map(|proof| &proof[..]);
    let revoked_at = token.revoked_at.map(|at| at.0);
    let done = sqlx::query_file!(
        "../sql/common/token_insert.sql",
        token.id,
        token.subject,
        grants,
        token.created_at.0,
        token.expires_at.0,
        token.minted_by,
        token.parent,
        proof,
        revoked_at
    )
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    // The answer to the same call may have been lost: then this very token is there.
    let there = find(connection, &token.id).await?;
    Ok(there.is_some_and(|row| row.subject == token.subject && row.created_at == token.created_at))
}

async fn standing(connection: &mut Connection, token: &TokenRef<'_>) -> Result<Standing> {
    let created_at = token.created_at.map(|at| at.0);
    let row = sqlx::query_file!("sql/token_standing.sql", token.id, token.subject, created_at)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(Standing::of(row.is_registered, row.is_revoked))
}

async fn find(connection: &mut Connection, id: &str) -> Result<Option<TokenRow>> {
    let row = sqlx::query_file_as!(Row, "../sql/common/token_find.sql", id)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(TokenRow::try_from).transpose()
}

async fn list(
    connection: &mut Connection,
    filter: &TokenFilter,
    after: Option<&TokenMark>,
    limit: u32,
) -> Result<Vec<TokenRow>> {
    let limit = i64::from(limit);
    let TokenMark { expires_at, id } = filter.start(after);
    let before = filter.expires_before.map_or(i64::MAX, |before| before.0);
    let rows = match &filter.subject {
        Some(subject) => {
            sqlx::query_file_as!(
                Row,
                "../sql/common/token_list_of_subject.sql",
                expires_at.0,
                id,
                before,
                filter.with_revoked,
                limit,
                subject
            )
            .fetch_all(&mut *connection)
            .await
        }
        None => {
            sqlx::query_file_as!(
                Row,
                "../sql/common/token_list.sql",
                expires_at.0,
                id,
                before,
                filter.with_revoked,
                limit
            )
            .fetch_all(&mut *connection)
            .await
        }
    };
    rows.map_err(failed)?.into_iter().map(TokenRow::try_from).collect()
}

async fn revoke(connection: &mut Connection, id: &str, now: Timestamp) -> Result<bool> {
    let done =
        sqlx::query_file!("../sql/common/token_revoke.sql", id, now.0).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}

async fn revoke_subject(connection: &mut Connection, subject: &str, now: Timestamp) -> Result<u64> {
    let ended = now.minus(Claims::LEEWAY).0;
    let done = sqlx::query_file!("../sql/common/token_revoke_subject.sql", subject, now.0, ended)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/revoked_subject_put.sql", subject, now.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected())
}

async fn touch(connection: &mut Connection, ids: &[String], now: Timestamp) -> Result<()> {
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    for batch in sorted.chunks(BATCH) {
        let used = json(batch)?;
        sqlx::query_file!("sql/token_touch.sql", used, now.0).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

async fn prune(connection: &mut Connection, ended: Timestamp, limit: u32) -> Result<u64> {
    let limit = i64::from(limit);
    let done =
        sqlx::query_file!("../sql/common/token_prune.sql", ended.0, limit).execute(connection).await.map_err(failed)?;
    Ok(done.rows_affected())
}
