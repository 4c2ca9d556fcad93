//! Looking at everything, once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use database::{Cache, Database, NarId, NarRow, PackId};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::CacheName;

use super::{Depth, InspectError, Inspector, Report, nar::CacheNames};
use crate::journal::Journal;

/// How many rows are read together.
const PAGE: u32 = 200;

/// What to look at, and what to do about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// How closely to look.
    pub depth: Depth,
    /// Whether the index is told of what is damaged.
    pub mark: bool,
    /// Only what this cache shows; everything if there is none.
    pub cache: Option<CacheName>,
    /// How many packs or NARs are read at a time.
    pub readers: usize,
}

/// How far it has come, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    packs: AtomicU64,
    nars: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Packs and NARs that were looked at, and bytes that were read.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.packs), load(&self.nars), load(&self.bytes))
    }
}

/// Looks at everything that `options` name.
///
/// # Errors
/// If the storage or the index cannot be read: then nothing can be said. Damage is no error.
pub async fn fsck(
    journal: Arc<Journal>,
    database: Arc<dyn Database>,
    options: &Options,
    progress: &Progress,
) -> Result<Report, InspectError> {
    let caches = database.list_caches().await?;
    let chosen: Vec<Cache> =
        caches.iter().filter(|cache| options.cache.as_ref().is_none_or(|name| *name == cache.name)).cloned().collect();
    let names = caches.into_iter().map(|cache| (cache.id, cache.name.to_string())).collect();
    let inspector = Inspector::new(journal, database, options.depth);
    let mut run = Run { inspector: &inspector, options, progress, names, report: Report::default() };
    if options.cache.is_none() {
        let mut findings = Vec::new();
        let unknown = inspector.unknown_packs(&mut |finding| findings.push(finding)).await?;
        run.packs().await?;
        run.nars().await?;
        inspector.record_objects(&mut run.report.examined, &mut |finding| findings.push(finding)).await?;
        inspector.still_unknown(unknown, &mut |finding| findings.push(finding)).await?;
        run.report.add(findings);
    } else {
        for cache in &chosen {
            run.nars_of(cache).await?;
        }
    }
    for cache in &chosen {
        let Report { examined, .. } = &mut run.report;
        let (mut examined, mut findings) = (std::mem::take(examined), Report::default());
        inspector.paths(cache, &mut examined, &mut |finding| findings.add([finding])).await?;
        inspector.documents(cache, &mut examined, &mut |finding| findings.add([finding])).await?;
        run.report.examined = examined;
        run.report.merge(findings);
    }
    Ok(run.report)
}

struct Run<'a> {
    inspector: &'a Inspector,
    options: &'a Options,
    progress: &'a Progress,
    names: CacheNames,
    report: Report,
}

impl Run<'_> {
    /// Every pack: the object, its trailer, its frames.
    async fn packs(&mut self) -> Result<(), InspectError> {
        let mut after = PackId(0);
        loop {
            let page = self.inspector.database.list_packs(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            let mut looks =
                stream::iter(page.into_iter().map(|pack| self.inspector.pack(pack))).buffer_unordered(self.readers());
            while let Some(look) = looks.try_next().await? {
                let examined = &mut self.report.examined;
                examined.packs += 1;
                examined.frames += look.frames;
                examined.bytes += look.bytes;
                self.progress.packs.fetch_add(1, Ordering::Relaxed);
                self.progress.bytes.fetch_add(look.bytes, Ordering::Relaxed);
                if self.options.mark {
                    self.inspector
                        .mark_pack(&look, self.inspector.journal.clock().now(), &mut self.report.marked)
                        .await?;
                }
                self.report.add(look.findings);
            }
        }
    }

    /// Every NAR.
    async fn nars(&mut self) -> Result<(), InspectError> {
        let mut after = NarId(0);
        loop {
            let page = self.inspector.database.list_nars(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            // Their frames have been compared with their checksums by now.
            self.look_at_nars(page, self.options.depth == Depth::Hashes).await?;
        }
    }

    /// The NARs of a cache.
    async fn nars_of(&mut self, cache: &Cache) -> Result<(), InspectError> {
        let mut after = None;
        loop {
            let page = self.inspector.database.list_path_links(cache.id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last.path.hash());
            let mut nars = Vec::with_capacity(page.len());
            for links in page.iter().filter(|links| links.has_nar) {
                let found = self.inspector.database.list_nars(NarId(links.nar.0 - 1), 1).await?;
                nars.extend(found.into_iter().filter(|nar| nar.id == links.nar));
            }
            self.look_at_nars(nars, true).await?;
        }
    }

    async fn look_at_nars(&mut self, nars: Vec<NarRow>, read: bool) -> Result<(), InspectError> {
        let (inspector, names) = (self.inspector, &self.names);
        let look = |nar: NarRow| async move {
            let look = inspector.nar(&nar, names, read).await?;
            Ok::<_, InspectError>((nar, look))
        };
        let mut looks = stream::iter(nars.into_iter().map(look)).buffer_unordered(self.readers());
        while let Some((nar, look)) = looks.try_next().await? {
            self.report.examined.nars += 1;
            self.report.examined.bytes += look.bytes;
            self.progress.nars.fetch_add(1, Ordering::Relaxed);
            self.progress.bytes.fetch_add(look.bytes, Ordering::Relaxed);
            if self.options.mark {
                inspector.mark_nar(&nar, &look, self.inspector.journal.clock().now(), &mut self.report.marked).await?;
            }
            self.report.add(look.findings);
        }
        Ok(())
    }

    fn readers(&self) -> usize {
        self.options.readers.max(1)
    }
}
