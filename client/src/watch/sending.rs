//! Sends what is queued, as far as it can be sent now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formats::StorePath;
use futures::future::BoxFuture;
use protocol::ErrorCode;

use crate::{
    api::ApiError,
    nix::{LocalStore, StoreError},
    push::{NotTried, Outcome, Push, PushError, PushPlan, PushReport, UploadError},
    retry::{Again, Retryable},
};

/// Makes a session with the cache, anew whenever the last one failed, so that a new token or address is noticed.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Push, PushError>> + Send + Sync>;

/// Why nothing could be sent, or no more.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The push did not begin.
    #[error(transparent)]
    Push(#[from] PushError),
    /// It broke off.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl Trouble {
    /// Tells whether only somebody's intervention can help: a token, a cache, a configuration.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Push(PushError::Api(error)) | Self::Upload(UploadError::Api(error)) => is_lasting(error),
            Self::Push(PushError::StoreDir { .. } | PushError::BadStoreDir { .. }) => true,
            Self::Push(PushError::Store(_)) | Self::Upload(UploadError::Read(_) | UploadError::Damaged { .. }) => false,
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn asked(&self) -> Option<std::time::Duration> {
        match self {
            Self::Push(PushError::Api(error)) | Self::Upload(UploadError::Api(error)) => match error.again() {
                Again::After(asked) => asked,
                Again::Never => None,
            },
            Self::Push(_) | Self::Upload(_) => None,
        }
    }
}

fn is_lasting(error: &ApiError) -> bool {
    let no_cache = matches!(error, ApiError::Refused(refusal) if refusal.code() == Some(ErrorCode::NoSuchCache));
    error.is_not_allowed() || no_cache || matches!(error, ApiError::Token | ApiError::Setup(_))
}

/// Why one path cannot be sent, while others can.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stuck {
    /// Nix cannot tell what is to be known of it.
    #[error("cannot ask the local store")]
    Store(#[source] Arc<StoreError>),
    /// It cannot be read, is damaged, or the server does not take it.
    #[error(transparent)]
    Upload(Arc<UploadError>),
    /// Something that it refers to cannot be sent.
    #[error("its reference {reference} cannot be sent")]
    Reference {
        /// What it refers to.
        reference: StorePath,
        /// Why not.
        source: Arc<UploadError>,
    },
}

/// What became of some paths. Those that are in none of these were not tried, or are to be tried once more.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// In the cache, with everything that they refer to, or left to an upstream cache.
    pub(super) done: BTreeSet<StorePath>,
    /// Not valid in the store any more.
    pub(super) invalid: BTreeSet<StorePath>,
    /// Cannot be sent.
    pub(super) stuck: BTreeMap<StorePath, Stuck>,
    /// Why it broke off, if it did.
    pub(super) trouble: Option<Trouble>,
}

/// The way to the cache.
pub(super) struct Sender {
    connect: Connect,
    store: Arc<dyn LocalStore>,
    session: Option<Push>,
}

impl Sender {
    pub(super) fn new(connect: Connect, store: Arc<dyn LocalStore>) -> Self {
        Self { connect, store, session: None }
    }

    /// Makes sure that there is a session.
    pub(super) async fn connect(&mut self) -> Result<(), PushError> {
        if self.session.is_none() {
            self.session = Some((self.connect)().await?);
        }
        Ok(())
    }

    /// Sends `paths` and all that they refer to.
    pub(super) async fn send(&mut self, paths: BTreeSet<StorePath>) -> Sent {
        let mut sent = Sent::default();
        if let Err(error) = self.try_send(paths, &mut sent).await {
            sent.trouble = Some(error.into());
        }
        if sent.trouble.is_some() {
            self.session = None;
        }
        sent
    }

    async fn try_send(&mut self, paths: BTreeSet<StorePath>, sent: &mut Sent) -> Result<(), PushError> {
        let valid = self.valid(&paths).await?;
        sent.invalid = paths.difference(&valid).cloned().collect();
        self.connect().await?;
        let Some(session) = &self.session else { return Ok(()) };
        // One path that Nix cannot tell about must not hold up the others, so they are parted until it stands alone.
        let mut groups = vec![valid];
        while let Some(group) = groups.pop() {
            match session.plan(group.clone()).await {
                Ok(plan) => {
                    let Unsettled { paths, failed } = settle(&plan, session.apply(&plan).await, &group, sent);
                    if sent.trouble.is_none() && !paths.is_empty() {
                        let is_less = paths.len() < group.len();
                        groups.extend(if is_less { vec![paths] } else { part(paths, failed, sent) });
                    }
                }
                Err(PushError::Store(error)) if is_about_paths(&error) => {
                    let error = Arc::new(error);
                    groups.extend(part(group, Some(Stuck::Store(error)), sent));
                }
                Err(error) => return Err(error),
            }
            if sent.trouble.is_some() {
                return Ok(());
            }
        }
        // What went away in the meantime is no trouble.
        let stuck: BTreeSet<StorePath> = sent.stuck.keys().cloned().collect();
        if !stuck.is_empty() {
            let valid = self.valid(&stuck).await?;
            sent.stuck.retain(|path, _| valid.contains(path));
            sent.invalid.extend(stuck.difference(&valid).cloned());
        }
        Ok(())
    }

    async fn valid(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeSet<StorePath>, StoreError> {
        let (store, paths) = (Arc::clone(&self.store), paths.clone());
        super::blocking(move || store.registrations(&paths)).await.map(|found| found.into_keys().collect())
    }
}

/// Roots of which a push does not tell whether all that they refer to is in the cache.
struct Unsettled {
    paths: BTreeSet<StorePath>,
    failed: Option<Stuck>,
}

/// Tells what a push means for the paths that were its roots.
fn settle(plan: &PushPlan, report: PushReport, roots: &BTreeSet<StorePath>, sent: &mut Sent) -> Unsettled {
    let is_whole = report.is_complete();
    let mut uploaded = BTreeSet::new();
    let mut errors: BTreeMap<StorePath, Arc<UploadError>> = BTreeMap::new();
    let mut lost: BTreeMap<StorePath, StorePath> = BTreeMap::new();
    for result in report.results {
        match result.outcome {
            Outcome::Uploaded(_) => drop(uploaded.insert(result.path)),
            Outcome::Failed(error) if concerns_path(&error) => drop(errors.insert(result.path, Arc::new(error))),
            Outcome::Failed(error) => sent.trouble = Some(error.into()),
            Outcome::NotTried(NotTried::Reference(reference)) => drop(lost.insert(result.path, reference)),
            Outcome::NotTried(NotTried::GivenUp) => {}
        }
    }
    let because = |reference: &StorePath| {
        let source = errors.get(reference).cloned()?;
        Some(Stuck::Reference { reference: reference.clone(), source })
    };
    let planned: BTreeSet<&StorePath> = plan.uploads().iter().map(|info| &info.path).collect();
    let mut paths = BTreeSet::new();
    for root in roots {
        if let Some(error) = errors.get(root) {
            sent.stuck.insert(root.clone(), Stuck::Upload(Arc::clone(error)));
        } else if let Some(stuck) = lost.get(root).and_then(because) {
            sent.stuck.insert(root.clone(), stuck);
        } else if uploaded.contains(root) || is_whole && !planned.contains(root) {
            sent.done.insert(root.clone());
        } else {
            // The cache has it, but may lack something that it refers to and that has just failed.
            paths.insert(root.clone());
        }
    }
    let failed = errors.keys().next().and_then(because);
    Unsettled { paths, failed }
}

/// Parts a group in two to be tried apart; a path that stands alone is stuck.
fn part(mut group: BTreeSet<StorePath>, why: Option<Stuck>, sent: &mut Sent) -> Vec<BTreeSet<StorePath>> {
    let middle = (group.len() > 1).then(|| group.iter().nth(group.len() / 2).cloned()).flatten();
    if let Some(middle) = middle {
        let upper = group.split_off(&middle);
        return vec![group, upper];
    }
    sent.stuck.extend(group.into_iter().zip(why));
    Vec::new()
}

/// Tells whether another path would fare better.
fn concerns_path(error: &UploadError) -> bool {
    match error {
        UploadError::Read(_) | UploadError::Damaged { .. } => true,
        UploadError::Api(error @ ApiError::Refused(_)) => !is_lasting(error) && error.again() == Again::Never,
        UploadError::Api(_) => false,
    }
}

fn is_about_paths(error: &StoreError) -> bool {
    match error {
        StoreError::NotValid(_) | StoreError::Failed { .. } | StoreError::Answer { .. } => true,
        StoreError::Start { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use formats::{NarHash, PathInfo};

    use super::*;
    use crate::{
        nix::DumpError,
        push::{Candidates, PathResult, Uploaded, UpstreamFilter},
    };

    fn path(name: &str) -> StorePath {
        let hash = formats::base32::encode(&formats::Sha256::digest_of(name.as_bytes()).as_bytes()[..20]);
        format!("{hash}-{name}").parse().unwrap()
    }

    fn paths(names: &[&str]) -> BTreeSet<StorePath> {
        names.iter().map(|name| path(name)).collect()
    }

    /// A plan to send `uploads`; `cached` are in the cache.
    fn plan(uploads: &[&str], cached: &[&str]) -> PushPlan {
        let info = |name: &&str| PathInfo {
            path: path(name),
            nar_hash: NarHash::digest_of(b""),
            nar_size: 1,
            references: BTreeSet::new(),
            deriver: None,
            signatures: BTreeSet::default(),
            ca: None,
        };
        let infos = uploads.iter().chain(cached).map(info).collect();
        let missing = uploads.iter().map(|name| *path(name).hash()).collect();
        Candidates::new(infos, &UpstreamFilter::Ignore).decide("main".parse().unwrap(), &missing)
    }

    fn report(outcomes: Vec<(&str, Outcome)>) -> PushReport {
        let result = |(name, outcome)| PathResult { path: path(name), nar_size: 1, outcome };
        PushReport { results: outcomes.into_iter().map(result).collect(), ..PushReport::default() }
    }

    fn uploaded() -> Outcome {
        let kind = protocol::attic::UploadPathResultKind::Uploaded;
        Outcome::Uploaded(Uploaded { kind, file_size: None, frac_deduplicated: None })
    }

    fn unreadable() -> Outcome {
        let source = std::io::Error::other("gone");
        Outcome::Failed(UploadError::Read(DumpError::Read { path: "/x".into(), source }))
    }

    fn stalled() -> Outcome {
        let limit = std::time::Duration::from_secs(3);
        Outcome::Failed(UploadError::Api(ApiError::Stalled { url: "http://h/".parse().unwrap(), limit }))
    }

    #[test]
    fn a_root_is_done_once_all_that_it_refers_to_is_in_the_cache() {
        let mut sent = Sent::default();
        let plan = plan(&["a", "below"], &["cached"]);
        let whole = report(vec![("below", uploaded()), ("a", uploaded())]);
        let left = settle(&plan, whole, &paths(&["a", "cached"]), &mut sent);
        assert_eq!((sent.done, left.paths.len()), (paths(&["a", "cached"]), 0));
        assert!(sent.stuck.is_empty() && sent.trouble.is_none());
    }

    #[test]
    fn a_root_that_the_cache_has_is_not_done_if_something_failed_that_it_may_refer_to() {
        let mut sent = Sent::default();
        let plan = plan(&["a", "below", "b"], &["cached"]);
        let lost = Outcome::NotTried(NotTried::Reference(path("below")));
        let partly = report(vec![("below", unreadable()), ("b", uploaded()), ("a", lost)]);
        let left = settle(&plan, partly, &paths(&["a", "b", "cached"]), &mut sent);
        assert_eq!((&sent.done, &left.paths), (&paths(&["b"]), &paths(&["cached"])));
        assert!(matches!(&sent.stuck[&path("a")], Stuck::Reference { reference, .. } if *reference == path("below")));
        // Alone it is what cannot be sent; together with others it is tried apart from them.
        assert!(part(left.paths, left.failed, &mut sent).is_empty());
        assert!(matches!(&sent.stuck[&path("cached")], Stuck::Reference { .. }));
        assert_eq!(part(paths(&["x", "y", "z"]), None, &mut sent).iter().map(BTreeSet::len).sum::<usize>(), 3);
    }

    #[test]
    fn a_server_that_is_away_is_no_paths_fault() {
        let mut sent = Sent::default();
        let plan = plan(&["a", "b"], &["cached"]);
        let cut = report(vec![("a", stalled()), ("b", Outcome::NotTried(NotTried::GivenUp))]);
        settle(&plan, cut, &paths(&["a", "b", "cached"]), &mut sent);
        assert!(sent.done.is_empty() && sent.stuck.is_empty());
        assert!(sent.trouble.is_some_and(|trouble| !trouble.is_lasting()));
        assert!(Trouble::from(PushError::Api(ApiError::Token)).is_lasting());
    }
}
