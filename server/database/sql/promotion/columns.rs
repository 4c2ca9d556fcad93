//! Rows of claims and receipts, and what they become.

use database::{CacheId, Claim, ClaimId, Error, Result};
use formats::Sha256;
use protocol::{Timestamp, promotion::Receipt};

use crate::column::Column;

/// A value as the JSON that a column holds.
pub(in super::super) fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Failed(Box::new(e)))
}

pub(super) struct ClaimRow {
    pub(super) id: i64,
    pub(super) cache_id: i64,
    pub(super) cache_name: String,
    pub(super) body: String,
    pub(super) builder: String,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) report: Option<String>,
    pub(super) filed_at: i64,
    pub(super) attempts: i64,
    pub(super) progress: Option<String>,
}

impl TryFrom<ClaimRow> for Claim {
    type Error = Error;

    fn try_from(row: ClaimRow) -> Result<Self> {
        Ok(Self {
            id: ClaimId(row.id),
            cache: CacheId(row.cache_id),
            cache_name: Column("cache", "name").text(&row.cache_name)?,
            claim: Column("claim", "body").json(&row.body)?,
            builder: Column("claim", "builder").json(&row.builder)?,
            state: Column("claim", "state").text(&row.state)?,
            reason: row.reason,
            report: row.report.map(|report| Column("claim", "report").json(&report)).transpose()?,
            filed_at: Timestamp(row.filed_at),
            attempts: Column("claim", "attempts").number(row.attempts)?,
            progress: row.progress.map(|progress| Column("claim", "progress").json(&progress)).transpose()?,
        })
    }
}

type ReceiptColumns = (i64, i64, String, Option<String>, Vec<u8>, String, i64);

pub(in super::super) fn receipt(
    (id, revision, surface, url, digest, exported_by, at): ReceiptColumns,
) -> Result<Receipt> {
    let manifest_digest = Sha256::from_bytes(Column("receipt", "manifest_digest").bytes(&digest)?);
    Ok(Receipt { id, revision, surface, url, manifest_digest, exported_by, at: Timestamp(at) })
}
