//! Mending what is damaged, from whatever there is.
//!
//! In this order: packs whose frames can be read but which do not describe themselves any more are written anew under their own
//! names; NARs in quarantine are put together from their chunks, wherever another copy of a chunk is found, else fetched from
//! another cache; documents likewise, else they are forgotten; and rows that refer to nothing go.

mod records;
mod rewrite;
mod sources;
mod upstream;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use database::{Cache, CacheId, ChunkRuns, Database, NarId, NarRow, PackName};
use formats::Compression;
use futures::{StreamExt, stream};
use serde::Serialize;

use super::{Depth, Finding, InspectError, Inspector, Report};
use crate::{
    ingest::{BodyReader, Ingest, IngestError, WireDigest},
    journal::{Journal, JournalError},
    store::StoreError,
};
use sources::Sources;
pub use upstream::{Upstream, UpstreamError};

/// How many rows are read together.
const PAGE: u32 = 200;
/// Our own storage may take this long for the next bytes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What was mended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mended {
    /// Packs that were written anew.
    pub packs: u64,
    /// NARs, paths and documents whose records were written anew.
    pub records: u64,
    /// NARs that were put together from chunks that are here.
    pub nars_from_chunks: u64,
    /// NARs that were fetched.
    pub nars_fetched: u64,
    /// NARs that stay in quarantine.
    pub nars_left: u64,
    /// Documents that were put together from chunks that are here.
    pub documents: u64,
    /// Rows that referred to nothing: documents, paths, packs.
    pub rows_dropped: u64,
}

/// Why mending could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// What is there cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Nothing can be stored.
    #[error("nothing can be stored")]
    Store(#[from] StoreError),
    /// The caches cannot be recorded.
    #[error("the caches cannot be recorded")]
    Journal(#[from] JournalError),
}

impl From<database::Error> for RepairError {
    fn from(error: database::Error) -> Self {
        Self::Inspect(error.into())
    }
}

impl From<storage::Error> for RepairError {
    fn from(error: storage::Error) -> Self {
        Self::Inspect(error.into())
    }
}

/// Mends a store.
#[derive(Debug)]
pub struct Repair {
    /// Where the bytes are.
    pub journal: Arc<Journal>,
    /// The index.
    pub database: Arc<dyn Database>,
    /// Takes NARs in.
    pub ingest: Ingest,
    /// Other caches that may have what is damaged here.
    pub upstreams: Vec<Upstream>,
}

impl Repair {
    /// Mends what a report tells of, whose findings the index has been told.
    ///
    /// # Errors
    /// If the storage or the index fails. What was mended until then is.
    pub async fn run(&self, report: &Report) -> Result<Mended, RepairError> {
        let mut mended = Mended::default();
        let caches = self.database.list_caches().await?;
        let inspector = Arc::new(Inspector::new(Arc::clone(&self.journal), Arc::clone(&self.database), Depth::Hashes));
        self.packs(report, &inspector, &mut mended).await?;
        for finding in &report.findings {
            // A listing is made when its NAR is taken in.
            if let Finding::ListingDamaged { nar, .. } = finding
                && let Some(nar) = self.database.find_nar(nar).await?
            {
                self.database.quarantine_nar(nar.id, self.journal.clock().now()).await?;
            }
        }
        let sources = Arc::new(self.sources(report, &caches, inspector).await?);
        self.nars(&sources, &mut mended).await?;
        self.rows(report, &caches, &sources, &mut mended).await?;
        Ok(mended)
    }

    /// Writes packs anew that do not describe themselves, and the records that were lost with their trailers.
    async fn packs(&self, report: &Report, inspector: &Arc<Inspector>, mended: &mut Mended) -> Result<(), RepairError> {
        let packs: BTreeSet<PackName> = report.findings.iter().filter_map(Finding::rewritable).collect();
        let packs: Vec<PackName> = packs.into_iter().collect();
        let mut has_lost_records = false;
        for row in self.database.find_packs(&packs).await?.into_iter().flatten() {
            has_lost_records |= inspector.records(&row).await?.is_err();
            mended.packs += u64::from(self.rewrite(&row, inspector).await?);
        }
        let mut damaged = Vec::new();
        for finding in &report.findings {
            match finding {
                Finding::PackMissing { pack } => {
                    has_lost_records = true;
                    if let Some(row) = self.database.find_packs(&[*pack]).await?.pop().flatten() {
                        mended.rows_dropped += u64::from(self.database.drop_empty_pack(row.id).await?);
                    }
                }
                Finding::RecordsDamaged { key, .. } => {
                    has_lost_records = true;
                    damaged.extend(key.parse::<storage::Key>());
                }
                _ => {}
            }
        }
        if has_lost_records {
            mended.records += self.write_lost_records(inspector).await?;
        }
        // What they said is said again by now, as far as the index knows it.
        for key in damaged {
            self.journal.storage().delete(&key).await?;
        }
        Ok(())
    }

    /// Puts NARs together, or fetches them.
    async fn nars(&self, sources: &Arc<Sources>, mended: &mut Mended) -> Result<(), RepairError> {
        let mut after = NarId(0);
        loop {
            let page = self.database.list_nars(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for nar in page.into_iter().filter(|nar| nar.is_quarantined) {
                // One that no path has is nobody's.
                let paths = self.database.list_nar_paths(nar.id, 1).await?;
                let Some((cache, path)) = paths.into_iter().next() else { continue };
                if self.mend_from_chunks(&nar, cache, sources).await? {
                    mended.nars_from_chunks += 1;
                } else if self.mend_from_upstreams(&nar, cache, path.hash()).await? {
                    mended.nars_fetched += 1;
                } else {
                    mended.nars_left += 1;
                }
            }
        }
    }

    /// Takes a NAR in from its own chunks; `false` if one of them is nowhere.
    async fn mend_from_chunks(
        &self,
        nar: &NarRow,
        cache: CacheId,
        sources: &Arc<Sources>,
    ) -> Result<bool, RepairError> {
        let Ok(manifest) = &nar.manifest else { return Ok(false) };
        let Some(body) = self.plain(manifest, sources).await? else { return Ok(false) };
        let healed = self.ingest.heal_nar(cache, nar.nar_hash, nar.nar_size, Compression::None, body).await;
        is_healed(healed)
    }

    /// Takes a NAR in from the first other cache that has it.
    async fn mend_from_upstreams(
        &self,
        nar: &NarRow,
        cache: CacheId,
        path: &formats::StorePathHash,
    ) -> Result<bool, RepairError> {
        for upstream in &self.upstreams {
            match upstream.nar(path, nar.nar_hash).await {
                Ok((compression, body)) => {
                    let healed = self.ingest.heal_nar(cache, nar.nar_hash, nar.nar_size, compression, body).await;
                    if is_healed(healed)? {
                        return Ok(true);
                    }
                }
                Err(error) => tracing::info!(%error, nar.hash = %nar.nar_hash, "another cache does not have it"),
            }
        }
        Ok(false)
    }

    /// The uncompressed bytes of a manifest, as a body; `None` if a chunk of it has no row.
    async fn plain(&self, manifest: &ChunkRuns, sources: &Arc<Sources>) -> Result<Option<BodyReader>, RepairError> {
        let rows = self.database.examine_chunks(manifest).await?;
        if rows.len() != manifest.chunk_count() {
            return Ok(None);
        }
        let sources = Arc::clone(sources);
        let body = stream::iter(rows).then(move |row| {
            let sources = Arc::clone(&sources);
            async move {
                match sources.chunk(&row).await {
                    Ok(Some(bytes)) => Ok(Bytes::from(bytes)),
                    Ok(None) => Err("a chunk is nowhere".to_owned()),
                    Err(error) => Err(error.to_string()),
                }
            }
        });
        Ok(Some(BodyReader::new(body, u64::MAX, PATIENCE, WireDigest::default())))
    }

    /// Puts documents together, and drops what refers to nothing.
    async fn rows(
        &self,
        report: &Report,
        caches: &[Cache],
        sources: &Arc<Sources>,
        mended: &mut Mended,
    ) -> Result<(), RepairError> {
        let named = |name: &str| caches.iter().find(|cache| cache.name.as_str() == name);
        for finding in &report.findings {
            match finding {
                Finding::PathWithoutNar { cache, path } => {
                    if let Some(cache) = named(cache) {
                        let dropped = self.database.drop_path_without_nar(cache.id, path.hash()).await?;
                        mended.rows_dropped += u64::from(dropped);
                    }
                }
                Finding::DocumentDamaged { cache, document, name, .. } => {
                    let kind = database::DocumentKind::of_str(document);
                    let Some((cache, kind)) = named(cache).zip(kind) else { continue };
                    let Some(was) = self.database.find_document(cache.id, kind, name).await? else { continue };
                    let put = match self.plain(&was.manifest, sources).await? {
                        Some(body) => {
                            self.ingest.put_document(cache, kind, name.clone(), Compression::None, body).await.map(drop)
                        }
                        None => Err(IngestError::File { what: "chunks" }),
                    };
                    if is_healed(put)? {
                        mended.documents += 1;
                    } else {
                        let dropped = self.database.drop_document(cache.id, kind, name, &was.manifest).await?;
                        mended.rows_dropped += u64::from(dropped);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether it went well. Wrong or missing bytes are for the next source to make good; a store that fails is the end.
fn is_healed(outcome: Result<(), IngestError>) -> Result<bool, RepairError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(IngestError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::info!(%error, "this does not mend it");
            Ok(false)
        }
    }
}
