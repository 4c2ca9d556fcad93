//! NARs of a commit.

use std::collections::{HashMap, HashSet};

use database::{Commit, CommitError, Error, NewNar};
use formats::NarHash;

use super::chunks::Chunks;
use crate::{
    column::Column,
    dialect::Connection,
    error::failed,
    list::{BATCH, hex, json},
};

/// How much of manifests is gathered for one statement, in bytes of hex.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy)]
struct State {
    id: i64,
    size: u64,
    quarantined: bool,
}

/// Every NAR that the commit names, as it is then.
pub(super) struct Nars {
    states: HashMap<NarHash, State>,
    healed: HashSet<i64>,
}

impl Nars {
    /// Gives each NAR a row, unless it has one that is not quarantined.
    pub(super) async fn insert(
        connection: &mut Connection,
        commit: &Commit,
        chunks: &Chunks,
    ) -> Result<Self, CommitError> {
        let mut nars = Self { states: HashMap::new(), healed: HashSet::new() };
        let mut named: Vec<NarHash> = commit.nars.iter().map(|nar| nar.nar_hash).collect();
        named.extend(commit.uploads.iter().map(|upload| upload.nar_hash));
        named.extend(commit.paths.iter().map(|path| path.info.nar_hash));
        named.sort_unstable();
        named.dedup();
        nars.load(connection, &named).await?;

        let mut sorted: Vec<&NewNar> = commit.nars.iter().collect();
        // Of one that comes twice the first counts.
        sorted.sort_by_key(|nar| nar.nar_hash);
        sorted.dedup_by_key(|nar| nar.nar_hash);
        let (known, new): (Vec<_>, Vec<_>) =
            sorted.into_iter().partition(|nar| nars.states.contains_key(&nar.nar_hash));
        for nar in known {
            if nars.states[&nar.nar_hash].quarantined {
                nars.heal(connection, nar, chunks).await?;
            }
        }
        nars.insert_new(connection, &new, chunks).await?;
        Ok(nars)
    }

    /// Inserts NARs that had no row a moment ago.
    async fn insert_new(
        &mut self,
        connection: &mut Connection,
        new: &[&NewNar],
        chunks: &Chunks,
    ) -> Result<(), CommitError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for nar in new {
            let manifest = hex(&chunks.runs(&nar.manifest)?.encode());
            let listing = match &nar.listing {
                Some(listing) => Some(hex(&chunks.runs(listing)?.encode())),
                None => None,
            };
            bytes += manifest.len() + listing.as_ref().map_or(0, String::len);
            let (hash, file_hash) = (nar.nar_hash.hex(), nar.file_hash.hex());
            rows.push((hash, nar.nar_size, file_hash, nar.file_size, manifest, listing, nar.now.0));
            if rows.len() == BATCH || bytes > BATCH_BYTES {
                insert_batch(connection, json(&rows)?).await?;
                rows.clear();
                bytes = 0;
            }
        }
        if !rows.is_empty() {
            insert_batch(connection, json(&rows)?).await?;
        }
        // Ours, or those of another commit that was faster.
        let hashes: Vec<NarHash> = new.iter().map(|nar| nar.nar_hash).collect();
        Ok(self.load(connection, &hashes).await?)
    }

    /// The row of a NAR that is there.
    pub(super) fn id(&self, hash: &NarHash) -> Result<i64, CommitError> {
        self.states.get(hash).filter(|state| !state.quarantined).map(|state| state.id).ok_or(CommitError::NarGone)
    }

    /// The row of a NAR that is there and has this size.
    pub(super) fn id_of_size(&self, hash: &NarHash, size: u64) -> Result<i64, CommitError> {
        let id = self.id(hash)?;
        if self.states[hash].size == size { Ok(id) } else { Err(CommitError::NarGone) }
    }

    /// Whether this commit brought the NAR out of quarantine.
    pub(super) fn is_healed(&self, id: i64) -> bool {
        self.healed.contains(&id)
    }

    async fn load(&mut self, connection: &mut Connection, hashes: &[NarHash]) -> Result<(), Error> {
        for batch in hashes.chunks(BATCH) {
            let names = json(&batch.iter().map(NarHash::hex).collect::<Vec<_>>())?;
            let rows =
                sqlx::query_file!("sql/nar_state.sql", names).fetch_all(&mut *connection).await.map_err(failed)?;
            for row in rows {
                let position: usize = Column("nar", "hash").number(row.position)?;
                let size = Column("nar", "size").number(row.size)?;
                self.states
                    .insert(batch[position], State { id: row.id, size, quarantined: row.quarantined_at.is_some() });
            }
        }
        Ok(())
    }

    /// Replaces what a quarantined NAR was stored as.
    async fn heal(&mut self, connection: &mut Connection, nar: &NewNar, chunks: &Chunks) -> Result<(), CommitError> {
        let Some(state) = self.states.get_mut(&nar.nar_hash) else { return Ok(()) };
        let file_hash = &nar.file_hash.as_bytes()[..];
        let file_size = Column("nar", "file_size").integer(nar.file_size)?;
        let manifest = chunks.runs(&nar.manifest)?.encode();
        let listing = match &nar.listing {
            Some(listing) => Some(chunks.runs(listing)?.encode()),
            None => None,
        };
        let now = nar.now.0;
        let done =
            sqlx::query_file!("../sql/common/nar_heal.sql", state.id, file_hash, file_size, manifest, listing, now)
                .execute(connection)
                .await
                .map_err(failed)?;
        state.quarantined = false;
        // Or else another commit was faster, and what it stored the NAR as stays.
        if done.rows_affected() > 0 {
            self.healed.insert(state.id);
        }
        Ok(())
    }
}

async fn insert_batch(connection: &mut Connection, rows: String) -> Result<(), Error> {
    sqlx::query_file!("sql/nar_insert.sql", rows).execute(connection).await.map_err(failed)?;
    Ok(())
}
