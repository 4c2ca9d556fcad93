//! Paths of a commit.

use std::collections::{BTreeSet, HashMap, HashSet};

use database::{CommitError, Error, NewPath, PathOutcome};
use formats::{Signature, StorePath};
use sqlx::SqliteConnection;

use super::nars::Nars;
use crate::{
    column::{Column, words},
    error::failed,
    list::{BATCH, hex, json},
};

/// A path that has a row already.
struct Existing {
    nar: i64,
    quarantined: bool,
    refs: String,
    signatures: String,
    extra: String,
}

/// Shows the paths in their caches, each unless it is there with another NAR.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    paths: &[NewPath],
    nars: &Nars,
) -> Result<Vec<PathOutcome>, CommitError> {
    let mut outcomes = Vec::with_capacity(paths.len());
    let mut rest = paths;
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(distinct_prefix(rest));
        insert_batch(connection, batch, nars, &mut outcomes).await?;
        rest = after;
    }
    Ok(outcomes)
}

/// How many paths from the first on can be looked up together: no more than a batch, and none twice.
fn distinct_prefix(paths: &[NewPath]) -> usize {
    let mut seen = HashSet::new();
    paths.iter().take(BATCH).take_while(|path| seen.insert((path.cache, path.info.path.hash()))).count()
}

async fn insert_batch(
    connection: &mut SqliteConnection,
    paths: &[NewPath],
    nars: &Nars,
    outcomes: &mut Vec<PathOutcome>,
) -> Result<(), CommitError> {
    let existing = load(connection, paths).await?;
    let mut rows = Vec::new();
    for (position, path) in paths.iter().enumerate() {
        let nar = nars.id_of_size(&path.info.nar_hash, path.info.nar_size)?;
        let outcome = match existing.get(&position) {
            None => {
                rows.push((
                    path.cache.0,
                    hex(path.info.path.hash().as_bytes()),
                    nar,
                    path.now.0,
                    path.info.path.name().as_str(),
                    words(&path.info.references),
                    path.info.deriver.as_ref().map(ToString::to_string),
                    path.info.ca.as_ref().map(ToString::to_string),
                    words(&path.info.signatures),
                    json(&path.extra)?,
                    path.pushed_by.as_deref(),
                ));
                PathOutcome::Created
            }
            Some(row) if row.nar == nar => {
                merge(connection, path, row).await?;
                if nars.is_healed(nar) { PathOutcome::Created } else { PathOutcome::Merged }
            }
            Some(row) if row.quarantined => {
                replace(connection, path, nar).await?;
                PathOutcome::Created
            }
            Some(_) => PathOutcome::KeptOther,
        };
        outcomes.push(outcome);
    }
    let rows = json(&rows)?;
    sqlx::query_file!("../sql/sqlite/path_insert.sql", rows).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Those of the paths that have rows, by their places.
async fn load(connection: &mut SqliteConnection, paths: &[NewPath]) -> Result<HashMap<usize, Existing>, Error> {
    let keys: Vec<_> = paths.iter().map(|path| (path.cache.0, hex(path.info.path.hash().as_bytes()))).collect();
    let keys = json(&keys)?;
    let rows = sqlx::query_file!("../sql/sqlite/path_state.sql", keys).fetch_all(connection).await.map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            let existing = Existing {
                nar: row.nar_id,
                quarantined: row.quarantined_at.is_some(),
                refs: row.refs,
                signatures: row.signatures,
                extra: row.extra,
            };
            Ok((Column("path", "hash").number(row.position)?, existing))
        })
        .collect()
}

/// Unites what is known of a path with what came again.
async fn merge(connection: &mut SqliteConnection, path: &NewPath, row: &Existing) -> Result<(), Error> {
    let mut refs: BTreeSet<StorePath> = Column("path", "refs").words(&row.refs)?;
    let mut signatures: BTreeSet<Signature> = Column("path", "signatures").words(&row.signatures)?;
    let mut extra: Vec<(String, String)> = Column("path", "extra").json(&row.extra)?;
    refs.extend(path.info.references.iter().cloned());
    signatures.extend(path.info.signatures.iter().cloned());
    for pair in &path.extra {
        if !extra.contains(pair) {
            extra.push(pair.clone());
        }
    }
    let hash = &path.info.path.hash().as_bytes()[..];
    let (refs, signatures, extra) = (words(&refs), words(&signatures), json(&extra)?);
    let deriver = path.info.deriver.as_ref().map(ToString::to_string);
    let ca = path.info.ca.as_ref().map(ToString::to_string);
    sqlx::query_file!(
        "../sql/common/path_merge.sql",
        path.cache.0,
        hash,
        refs,
        deriver,
        ca,
        signatures,
        extra,
        path.now.0
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Puts a path in the place of one whose NAR is quarantined.
async fn replace(connection: &mut SqliteConnection, path: &NewPath, nar: i64) -> Result<(), Error> {
    let hash = &path.info.path.hash().as_bytes()[..];
    let name = path.info.path.name().as_str();
    let refs = words(&path.info.references);
    let deriver = path.info.deriver.as_ref().map(ToString::to_string);
    let ca = path.info.ca.as_ref().map(ToString::to_string);
    let signatures = words(&path.info.signatures);
    let extra = json(&path.extra)?;
    sqlx::query_file!(
        "../sql/common/path_replace.sql",
        path.cache.0,
        hash,
        nar,
        path.now.0,
        name,
        refs,
        deriver,
        ca,
        signatures,
        extra,
        path.pushed_by
    )
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
