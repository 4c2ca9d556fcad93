//! Tags and their revisions.

use database::{CacheId, Member, Moved, NewRevision, Result, RevisionId, TagId, TagRow};
use protocol::promotion::{ClaimState, Revision, RevisionState, TagKind, TagName, Visibility};

use super::text;
use crate::{
    column::Column,
    dialect::Connection,
    error::failed,
    list::{BATCH, hex, json},
};

struct TagColumns {
    id: i64,
    name: String,
    kind: String,
    visibility: String,
    last_number: i64,
    current_id: Option<i64>,
    number: Option<i64>,
    state: Option<String>,
    reason: Option<String>,
    body: Option<String>,
}

impl TryFrom<TagColumns> for TagRow {
    type Error = database::Error;

    fn try_from(row: TagColumns) -> Result<Self> {
        let current = match (row.current_id, row.number, row.state, row.body) {
            (Some(id), Some(number), Some(state), Some(body)) => {
                Some((RevisionId(id), revision(number, &state, row.reason, &body)?))
            }
            _ => None,
        };
        Ok(Self {
            id: TagId(row.id),
            name: Column("tag", "name").text(&row.name)?,
            kind: Column("tag", "kind").text(&row.kind)?,
            visibility: Column("tag", "visibility").text(&row.visibility)?,
            last_number: row.last_number,
            current,
        })
    }
}

pub(in super::super) fn revision(number: i64, state: &str, reason: Option<String>, body: &str) -> Result<Revision> {
    let body: Revision = Column("revision", "body").json(body)?;
    Ok(Revision { number, state: Column("revision", "state").text(state)?, reason, ..body })
}

pub(super) async fn list(connection: &mut Connection, cache: CacheId) -> Result<Vec<TagRow>> {
    let rows = sqlx::query_file_as!(TagColumns, "../sql/common/tag_list.sql", cache.0)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    rows.into_iter().map(TagRow::try_from).collect()
}

pub(super) async fn history(
    connection: &mut Connection,
    tag: TagId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<(RevisionId, Revision)>> {
    let (before, limit) = (before.unwrap_or(i64::MAX), i64::from(limit));
    let rows = sqlx::query_file!("../sql/common/revision_list.sql", tag.0, before, limit)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let read = |row: (i64, i64, String, Option<String>, String)| -> Result<(RevisionId, Revision)> {
        Ok((RevisionId(row.0), revision(row.1, &row.2, row.3, &row.4)?))
    };
    rows.into_iter().map(|row| read((row.id, row.number, row.state, row.reason, row.body))).collect()
}

/// Why a tag stays where it is, with all that was begun undone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmoved {
    #[error("the tag stays where it is")]
    Stays(Moved),
    #[error(transparent)]
    Database(#[from] database::Error),
}

pub(super) async fn advance(connection: &mut Connection, new: &NewRevision) -> std::result::Result<Moved, Unmoved> {
    let (name, kind, visibility) = (new.tag.as_str(), new.kind.as_str(), new.visibility.as_str());
    sqlx::query_file!("../sql/common/tag_insert.sql", new.cache.0, name, kind, visibility)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let tag = find(connection, new.cache, &new.tag).await?;
    let tag = tag.ok_or_else(|| Column("tag", "name").wrong("it was made and is not there"))?;
    if tag.kind != new.kind || (tag.kind == TagKind::Release && tag.last_number > 0) {
        return Err(Unmoved::Stays(Moved::Fixed));
    }
    let advanced = sqlx::query_file!("../sql/common/tag_advance.sql", tag.id.0, new.expected, visibility)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(advanced) = advanced else { return Err(Unmoved::Stays(Moved::Elsewhere(tag.last_number))) };
    for claim in &new.revision.claims {
        let row = sqlx::query_file!("../sql/common/claim_state.sql", claim, new.cache.0)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        if row.is_none_or(|row| row.state != ClaimState::Clean.as_str()) {
            return Err(Unmoved::Stays(Moved::Gone));
        }
    }
    let number = advanced.last_number;
    let body = text(&Revision { number, state: RevisionState::Kept, ..new.revision.clone() })?;
    let (reason, at) = (new.revision.reason.as_deref(), new.revision.at.0);
    let row = sqlx::query_file!("../sql/common/revision_insert.sql", tag.id.0, number, reason, body, at)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    match new.revision.repeats {
        None => insert_members(connection, row.id, new.cache, &new.members).await?,
        Some(repeated) => {
            let kept = sqlx::query_file!("../sql/common/revision_kept.sql", tag.id.0, repeated)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            let Some(kept) = kept else { return Err(Unmoved::Stays(Moved::Gone)) };
            sqlx::query_file!("../sql/common/promoted_copy.sql", kept.id, row.id)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
    }
    sqlx::query_file!("../sql/common/tag_point.sql", tag.id.0, row.id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    note(connection, row.id).await?;
    Ok(Moved::To(number))
}

pub(super) async fn let_go(
    connection: &mut Connection,
    revision: RevisionId,
    state: RevisionState,
    reason: Option<&str>,
) -> Result<bool> {
    let state = state.as_str();
    let done = sqlx::query_file!("../sql/common/revision_end.sql", revision.0, state, reason)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query_file!("../sql/common/tag_let_go.sql", revision.0).execute(&mut *connection).await.map_err(failed)?;
    sqlx::query_file!("../sql/common/promoted_delete.sql", revision.0)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    note(connection, revision.0).await?;
    Ok(true)
}

/// Notes that the storage has to be told of a revision and of its tag.
async fn note(connection: &mut Connection, revision: i64) -> Result<()> {
    sqlx::query_file!("../sql/common/unrecorded_of_revision.sql", revision)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(in super::super) async fn find(
    connection: &mut Connection,
    cache: CacheId,
    name: &TagName,
) -> Result<Option<TagRow>> {
    let name = name.as_str();
    let row = sqlx::query_file_as!(TagColumns, "../sql/common/tag_find.sql", cache.0, name)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    row.map(TagRow::try_from).transpose()
}

async fn insert_members(connection: &mut Connection, revision: i64, cache: CacheId, members: &[Member]) -> Result<()> {
    for batch in members.chunks(BATCH) {
        let batch: Vec<_> =
            batch.iter().map(|m| (m.claim.0, hex(m.hash.as_bytes()), hex(m.nar_hash.as_bytes()))).collect();
        let batch = json(&batch)?;
        sqlx::query_file!("sql/promoted_insert.sql", revision, cache.0, batch)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Changes who may see a view.
pub(super) async fn show(connection: &mut Connection, tag: TagId, visibility: Visibility) -> Result<bool> {
    let visibility = visibility.as_str();
    let done = sqlx::query_file!("../sql/common/tag_show.sql", tag.0, visibility)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query_file!("../sql/common/unrecorded_of_tag.sql", tag.0).execute(&mut *connection).await.map_err(failed)?;
    Ok(done.rows_affected() > 0)
}
