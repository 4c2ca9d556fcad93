//! What left of a tag.

use database::{Result, TagId};
use protocol::promotion::Receipt;

use super::receipt;
use crate::{dialect::Connection, error::failed};

pub(super) async fn record(connection: &mut Connection, tag: TagId, receipt: &Receipt) -> Result<Receipt> {
    let digest = &receipt.manifest_digest.as_bytes()[..];
    let row = sqlx::query_file!(
        "../sql/common/receipt_insert.sql",
        tag.0,
        receipt.revision,
        receipt.surface,
        receipt.url,
        digest,
        receipt.exported_by,
        receipt.at.0
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query_file!("../sql/common/unrecorded_of_receipt.sql", row.id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(Receipt { id: row.id, ..receipt.clone() })
}

pub(super) async fn list(connection: &mut Connection, tag: TagId) -> Result<Vec<Receipt>> {
    let rows =
        sqlx::query_file!("../sql/common/receipt_list.sql", tag.0).fetch_all(&mut *connection).await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            receipt((row.id, row.revision, row.surface, row.url, row.manifest_digest, row.exported_by, row.created_at))
        })
        .collect()
}
