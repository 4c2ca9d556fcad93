//! A cache that is measured: ours or another one.

use std::{fs, sync::Arc};

use anyhow::Context;

use crate::{
    http::{Base, Connection},
    process::threads_cpu_seconds,
    sets::DataSet,
};

/// A cache that has the data sets.
#[derive(Debug)]
pub struct Subject {
    /// What it is called in tables.
    pub name: String,
    /// Where it is served.
    pub base: Base,
    /// The process, if it is known; those that it started count too.
    pub pid: Option<u32>,
    /// Requests for the narinfos of all sets.
    pub narinfos: Arc<Vec<Vec<u8>>>,
    /// Requests for narinfos that nobody has.
    pub missing: Arc<Vec<Vec<u8>>>,
    /// Requests for the NARs of each set.
    pub nars: Vec<Arc<Vec<Vec<u8>>>>,
    /// What NARs are asked for with, each header ending in CR LF.
    pub headers: String,
    /// The largest NAR: where it is, and its length as it is served.
    pub largest: (String, u64),
}

impl Subject {
    /// Asks the cache for the narinfos of all paths, to learn where its NARs are. Those will be asked for with `headers`, each ending
    /// in CR LF.
    ///
    /// # Errors
    /// It does not have them.
    pub fn find(name: &str, url: &str, pid: Option<u32>, sets: &[DataSet], headers: &str) -> anyhow::Result<Self> {
        let base = Base::parse(url)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(narinfos(&base, sets));
        let found = found.with_context(|| format!("{name}, {url}, does not have the data sets"))?;
        let narinfos = sets.iter().flat_map(|set| &set.paths).map(|path| base.get(&narinfo(path), "")).collect();
        let missing = (0..1000_u32).map(|n| base.get(&format!("{n:032}.narinfo"), "")).collect();
        let nars = found.iter().map(|set| Arc::new(set.iter().map(|(url, _)| base.get(url, headers)).collect()));
        let nars = nars.collect();
        let largest = found.into_iter().flatten().max_by_key(|(_, size)| *size).context("no data set")?;
        Ok(Self {
            name: name.to_owned(),
            base,
            pid,
            narinfos: Arc::new(narinfos),
            missing: Arc::new(missing),
            nars,
            headers: headers.to_owned(),
            largest,
        })
    }

    /// The CPU seconds that it has taken so far, if its process is known.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<Option<f64>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let mut sum = threads_cpu_seconds(pid)?;
        for child in children(pid)? {
            sum += threads_cpu_seconds(child)?;
        }
        Ok(Some(sum))
    }
}

fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// The hash part of a store path, as narinfos are named by it.
fn narinfo(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("{}.narinfo", name.get(..32).unwrap_or(name))
}

/// `URL` and `FileSize` of each path of each set.
async fn narinfos(base: &Base, sets: &[DataSet]) -> anyhow::Result<Vec<Vec<(String, u64)>>> {
    let mut connection = Connection::open(base.address).await?;
    let mut found = Vec::new();
    for set in sets {
        let mut nars = Vec::new();
        for path in &set.paths {
            let mut text = Vec::new();
            let answer = connection.ask(&base.get(&narinfo(path), ""), |piece| text.extend_from_slice(piece)).await?;
            anyhow::ensure!(answer.status == 200, "{path}: status {}", answer.status);
            let text = String::from_utf8(text)?;
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let url = field("URL:").context("a narinfo without URL")?;
            let size = field("FileSize:").or_else(|| field("NarSize:")).context("a narinfo without a size")?;
            nars.push((url.to_owned(), size.parse()?));
        }
        found.push(nars);
    }
    Ok(found)
}
