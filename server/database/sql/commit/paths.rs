//! Paths of a commit.

use std::collections::{BTreeSet, HashMap, HashSet};

use database::{CacheId, CommitError, Error, NewPath, PathOutcome};
use formats::{Signature, StorePath, StorePathHash};

use super::nars::Nars;
use crate::{
    column::{Column, words},
    dialect::{Connection, lock_paths},
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
///
/// All are inserted first, in the order of their keys; those that were there, or came from another commit a moment ago, are
/// locked in the same order and then looked at.
pub(super) async fn insert(
    connection: &mut Connection,
    paths: &[NewPath],
    nars: &Nars,
) -> Result<Vec<PathOutcome>, CommitError> {
    let mut sorted = Vec::with_capacity(paths.len());
    for (position, path) in paths.iter().enumerate() {
        sorted.push((position, path, nars.id_of_size(&path.info.nar_hash, path.info.nar_size)?));
    }
    // Stable: the first of two with one key stays the first.
    // By bytes, as whoever else locks paths does; hash parts by themselves are sorted as their text is.
    sorted.sort_by_key(|(_, path, _)| (path.cache, *path.info.path.hash().as_bytes()));
    let created = insert_new(connection, &sorted).await?;

    let mut outcomes = vec![PathOutcome::Created; paths.len()];
    sorted.retain(|(position, ..)| !created.contains(position));
    let mut rest = &sorted[..];
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(distinct_prefix(rest));
        let existing = load(connection, batch).await?;
        for (at, &(position, path, nar)) in batch.iter().enumerate() {
            let row =
                existing.get(&at).ok_or_else(|| Column("path", "hash").wrong("a row is gone while it is locked"))?;
            outcomes[position] = unite(connection, path, nar, row, nars).await?;
        }
        rest = after;
    }
    Ok(outcomes)
}

/// A path of the commit: its place there, and the row of its NAR.
type Placed<'a> = (usize, &'a NewPath, i64);

fn key(path: &NewPath) -> (CacheId, StorePathHash) {
    (path.cache, *path.info.path.hash())
}

/// How many paths from the first on can be looked at together: no more than a batch, and none twice.
fn distinct_prefix(sorted: &[Placed<'_>]) -> usize {
    let repeated = sorted.windows(2).position(|pair| key(pair[0].1) == key(pair[1].1));
    repeated.map_or(sorted.len(), |at| at + 1).min(BATCH)
}

/// Inserts the first one of each key unless it has a row; the places of those that had none.
async fn insert_new(connection: &mut Connection, sorted: &[Placed<'_>]) -> Result<HashSet<usize>, CommitError> {
    let mut firsts = sorted.to_vec();
    firsts.dedup_by_key(|(_, path, _)| key(path));
    let mut created = HashSet::new();
    for batch in firsts.chunks(BATCH) {
        let rows: Vec<_> = batch
            .iter()
            .map(|(_, path, nar)| {
                let extra = json(&path.extra)?;
                Ok((
                    path.cache.0,
                    hex(path.info.path.hash().as_bytes()),
                    nar,
                    path.now.0,
                    path.info.path.name().as_str(),
                    words(&path.info.references),
                    path.info.deriver.as_ref().map(ToString::to_string),
                    path.info.ca.as_ref().map(ToString::to_string),
                    words(&path.info.signatures),
                    extra,
                    path.pushed_by.as_deref(),
                ))
            })
            .collect::<Result<_, Error>>()?;
        let rows = json(&rows)?;
        let inserted =
            sqlx::query_file!("sql/path_insert.sql", rows).fetch_all(&mut *connection).await.map_err(failed)?;
        let places: HashMap<_, _> = batch.iter().map(|(position, path, _)| (key(path), *position)).collect();
        for row in inserted {
            let hash = StorePathHash::from_bytes(Column("path", "hash").bytes(&row.hash)?);
            created.extend(places.get(&(CacheId(row.cache_id), hash)));
        }
    }
    Ok(created)
}

/// Puts what came again with what is there.
async fn unite(
    connection: &mut Connection,
    path: &NewPath,
    nar: i64,
    row: &Existing,
    nars: &Nars,
) -> Result<PathOutcome, CommitError> {
    if row.nar == nar {
        merge(connection, path, row).await?;
        return Ok(if nars.is_healed(nar) { PathOutcome::Created } else { PathOutcome::Merged });
    }
    if row.quarantined {
        replace(connection, path, nar).await?;
        return Ok(PathOutcome::Created);
    }
    Ok(PathOutcome::KeptOther)
}

/// The rows of the paths, by their places; nobody else changes them from then on.
async fn load(connection: &mut Connection, paths: &[Placed<'_>]) -> Result<HashMap<usize, Existing>, Error> {
    let keys: Vec<_> = paths.iter().map(|(_, path, _)| (path.cache.0, hex(path.info.path.hash().as_bytes()))).collect();
    let keys = json(&keys)?;
    // By a statement of its own: one that waits for a lock goes on with what it read before.
    lock_paths(connection, &keys).await?;
    let rows = sqlx::query_file!("sql/path_state.sql", keys).fetch_all(connection).await.map_err(failed)?;
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
async fn merge(connection: &mut Connection, path: &NewPath, row: &Existing) -> Result<(), Error> {
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
async fn replace(connection: &mut Connection, path: &NewPath, nar: i64) -> Result<(), Error> {
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
