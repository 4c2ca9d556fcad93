//! Where the bytes of a chunk may be found: its own frame, another row, or a pack that nobody asked yet.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use database::{Cache, ChunkId, ChunkLocation, ChunkRow, ChunkRuns, DocumentKind, NarId, PackId, PackName, PackRow};
use futures::TryStreamExt;
use protocol::ChunkHash;

use super::{PAGE, Repair, RepairError};
use crate::{
    inspect::{Finding, InspectError, Inspector, Report},
    pack::{self, Record},
};

/// The most chunks that are looked for in all packs.
const MAX_WANTED: usize = 1_000_000;

/// Finds the bytes of chunks.
#[derive(Debug)]
pub(super) struct Sources {
    inspector: Arc<Inspector>,
    /// Frames that trailers name, of chunks that are to be had nowhere else.
    others: HashMap<ChunkHash, Vec<ChunkRow>>,
}

impl Sources {
    /// The bytes of a chunk, from wherever they are whole.
    pub(super) async fn chunk(&self, row: &ChunkRow) -> Result<Option<Vec<u8>>, InspectError> {
        if let Some(bytes) = self.with_row(row).await? {
            return Ok(Some(bytes));
        }
        for other in self.others.get(&row.hash).into_iter().flatten() {
            if let Some(bytes) = self.inspector.chunk_bytes(other).await? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The same, but only from frames that have a row.
    async fn with_row(&self, row: &ChunkRow) -> Result<Option<Vec<u8>>, InspectError> {
        // What was once found damaged may be whole again: a disk that is back, a folder that was restored.
        if let Some(bytes) = self.inspector.chunk_bytes(row).await? {
            return Ok(Some(bytes));
        }
        let found = self.inspector.database.find_chunks(&[row.hash]).await?.pop().flatten();
        match found.filter(|location| location.id != row.location.id) {
            Some(location) => self.inspector.chunk_bytes(&ChunkRow { location, ..*row }).await,
            None => Ok(None),
        }
    }
}

impl Repair {
    /// Looks through the trailers of all packs, if there is a chunk that has to be found there.
    pub(super) async fn sources(
        &self,
        report: &Report,
        caches: &[Cache],
        inspector: Arc<Inspector>,
    ) -> Result<Sources, RepairError> {
        let mut sources = Sources { inspector, others: HashMap::new() };
        let wanted = self.wanted(report, caches, &sources).await?;
        if wanted.is_empty() {
            return Ok(sources);
        }
        // By the storage, not by the index: a pack that no row names is as good.
        let mut objects = self.journal.storage().list("packs/");
        while let Some((key, size)) = objects.try_next().await? {
            let Some(name) = pack::name(&key) else { continue };
            let row = PackRow { id: PackId(0), name, size };
            let Ok(records) = sources.inspector.records(&row).await? else { continue };
            for record in records {
                if let Record::Chunk(chunk) = record
                    && wanted.contains(&chunk.hash)
                {
                    let location = location(name, &chunk);
                    let row = ChunkRow { hash: chunk.hash, location, is_damaged: false };
                    sources.others.entry(chunk.hash).or_default().push(row);
                }
            }
        }
        Ok(sources)
    }

    /// The chunks of NARs in quarantine and of damaged documents that no row leads to.
    async fn wanted(
        &self,
        report: &Report,
        caches: &[Cache],
        sources: &Sources,
    ) -> Result<HashSet<ChunkHash>, RepairError> {
        let mut wanted = HashSet::new();
        let mut after = NarId(0);
        loop {
            let page = self.database.list_nars(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for nar in page.into_iter().filter(|nar| nar.is_quarantined) {
                if let Ok(manifest) = &nar.manifest {
                    self.want(manifest, sources, &mut wanted).await?;
                }
            }
        }
        for finding in &report.findings {
            if let Finding::DocumentDamaged { cache, document, name, .. } = finding
                && let Some(cache) = caches.iter().find(|known| known.name.as_str() == cache)
                && let Some(kind) = DocumentKind::of_str(document)
                && let Some(document) = self.database.find_document(cache.id, kind, name).await?
            {
                self.want(&document.manifest, sources, &mut wanted).await?;
            }
        }
        Ok(wanted)
    }

    async fn want(
        &self,
        manifest: &ChunkRuns,
        sources: &Sources,
        wanted: &mut HashSet<ChunkHash>,
    ) -> Result<(), RepairError> {
        for row in self.database.examine_chunks(manifest).await? {
            if wanted.len() < MAX_WANTED && !wanted.contains(&row.hash) && sources.with_row(&row).await?.is_none() {
                wanted.insert(row.hash);
            }
        }
        Ok(())
    }
}

fn location(pack: PackName, chunk: &database::NewChunk) -> ChunkLocation {
    ChunkLocation {
        id: ChunkId(0),
        pack,
        offset: chunk.offset,
        stored_size: chunk.stored_size,
        size: chunk.size,
        check: chunk.check,
    }
}
