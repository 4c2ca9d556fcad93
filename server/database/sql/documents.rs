//! Documents.

use async_trait::async_trait;
use database::{CacheId, Document, DocumentKind, Documents, Result};

use crate::{
    column::Column,
    dialect::{Connection, Index},
    error::failed,
};

#[async_trait]
impl Documents for Index {
    async fn find_document(&self, cache: CacheId, kind: DocumentKind, name: &str) -> Result<Option<Document>> {
        asking!(self, |connection| find(connection, cache, kind, name).await)
    }
}

async fn find(connection: &mut Connection, cache: CacheId, kind: DocumentKind, name: &str) -> Result<Option<Document>> {
    let kind = kind.as_str();
    let row = sqlx::query_file!("../sql/common/document_find.sql", cache.0, kind, name)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Document {
        manifest: Column("document", "manifest").runs(&row.manifest)?,
        size: Column("document", "size").number(row.size)?,
    }))
}
