use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use formats::{NarHash, PathInfo, StoreDir, StorePath};
use protocol::Timestamp;

use super::{plan::tests::info, *};
use crate::{
    api::{ApiError, MetadataStyle, Settings},
    fake_server::{Asked, FakeServer, Reply},
    nix::{LocalStore, StoreError},
    report::{Event, Reporter},
};

/// Every path is a file of some size, whose info is made up but true.
pub(super) struct FakeStore {
    folder: tempfile::TempDir,
    infos: Vec<PathInfo>,
}

impl FakeStore {
    fn new(infos: Vec<PathInfo>, file_size: usize) -> Self {
        Self::with(infos, |info| vec![info.path.hash().as_bytes()[0]; file_size])
    }

    pub(super) fn with(mut infos: Vec<PathInfo>, contents: impl Fn(&PathInfo) -> Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for info in &mut infos {
            let mut nar = formats::nar::Writer::new();
            let contents = contents(info);
            nar.begin();
            nar.regular_begin(false, contents.len() as u64);
            nar.contents(&contents);
            nar.regular_end(contents.len() as u64);
            let nar = nar.take();
            info.nar_size = nar.len() as u64;
            info.nar_hash = NarHash::digest_of(&nar);
            std::fs::write(folder.path().join(info.path.to_string()), contents).unwrap();
        }
        Self { folder, infos }
    }
}

impl LocalStore for FakeStore {
    fn store_dir(&self) -> &StoreDir {
        static DIR: std::sync::LazyLock<StoreDir> = std::sync::LazyLock::new(StoreDir::default);
        &DIR
    }

    fn closure(&self, _: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        Ok(self.infos.clone())
    }

    fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        Ok(self.infos.iter().filter(|info| paths.contains(&info.path)).cloned().collect())
    }

    fn registrations(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, Option<Timestamp>>, StoreError> {
        let infos = self.infos.iter().filter(|info| paths.contains(&info.path));
        Ok(infos.map(|info| (info.path.clone(), None)).collect())
    }

    fn contents(&self, path: &StorePath) -> PathBuf {
        self.folder.path().join(path.to_string())
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Notes the kinds of events.
#[derive(Default)]
pub(super) struct Notes(pub(super) Mutex<Vec<String>>);

impl Reporter for Notes {
    fn report(&self, event: Event<'_>) {
        let note = match event {
            Event::Began(plan) => format!("began {}", plan.uploads().len()),
            Event::Started { path, .. } => format!("started {}", path.name()),
            Event::Waiting { failed, .. } => format!("waiting {failed}"),
            Event::Finished { path, .. } => format!("finished {}", path.name()),
            Event::Sent { .. } => return,
            Event::EndpointIgnored(_) => "ignored".to_owned(),
            Event::OtherVersion { theirs, .. } => format!("version {theirs}"),
        };
        self.0.lock().unwrap().push(note);
    }
}

pub(super) const OPTIONS: PushOptions = PushOptions {
    jobs: std::num::NonZeroUsize::MIN,
    closure: true,
    ignore_upstream_filter: false,
    metadata: MetadataStyle::Shortest,
};

fn missing(infos: &[PathInfo]) -> Reply {
    let hashes: Vec<_> = infos.iter().map(|info| info.path.hash()).collect();
    Reply::json(200, &serde_json::json!({ "missing_paths": hashes }).to_string())
}

fn uploaded() -> Reply {
    Reply::json(200, r#"{"kind":"Uploaded","file_size":3,"frac_deduplicated":0.5}"#)
}

/// Pushes `infos` to a server that lacks them all and answers uploads with `replies`.
async fn push(
    infos: Vec<PathInfo>,
    file_size: usize,
    replies: Vec<Reply>,
    adjust: impl FnOnce(&mut Settings),
) -> (PushReport, Vec<Asked>, Vec<String>) {
    let config = Reply::json(200, r#"{"store_dir":"/nix/store","upstream_cache_key_names":["up-1"]}"#);
    let no_native_push = Reply::error(404, "NotFound");
    let server = FakeServer::start([config, missing(&infos), no_native_push].into_iter().chain(replies)).await;
    let store = Arc::new(FakeStore::new(infos, file_size));
    let notes = Arc::new(Notes::default());
    let reporter: Arc<dyn Reporter> = notes.clone();
    let push = Push::begin(server.api(adjust), store, reporter, "main".parse().unwrap(), OPTIONS).await.unwrap();
    let plan = push.plan(BTreeSet::new()).await.unwrap();
    let report = push.apply(&plan).await;
    let notes = notes.0.lock().unwrap().clone();
    (report, server.asked().split_off(3), notes)
}

#[tokio::test]
async fn an_upload_that_fails_is_read_and_sent_anew() {
    const SIZE: usize = 1 << 20;
    let replies = vec![Reply::error(500, "InternalServerError"), Reply::Cut(1000), uploaded()];
    let (report, asked, notes) = push(vec![info("a", &[], None)], SIZE, replies, |_| {}).await;
    assert!(report.is_complete());
    assert_eq!(notes, ["began 1", "started a", "waiting 1", "started a", "waiting 2", "started a", "finished a"]);
    let lengths: Vec<usize> = asked.iter().map(|asked| asked.body.len()).collect();
    assert_eq!((lengths[0], lengths[1]), (lengths[2], 1000), "the first and the last arrived whole");
    assert!(lengths[2] > SIZE && asked[2].head.contains("x-attic-nar-info: {"));
    assert!(asked[2].head.contains(&format!("content-length: {}\r\n", lengths[2])));
}

#[tokio::test]
async fn references_go_first_and_a_failure_keeps_its_referrers_back() {
    let infos = vec![
        info("top", &["mid"], None),
        info("mid", &["leaf"], None),
        info("leaf", &[], None),
        info("other", &[], None),
    ];
    let replies = vec![uploaded(), uploaded(), uploaded(), uploaded()];
    let (report, _, notes) = push(infos.clone(), 1, replies, |_| {}).await;
    assert!(report.is_complete());
    let at = |note: &str| notes.iter().position(|n| n == note).unwrap();
    assert!(at("finished leaf") < at("started mid") && at("finished mid") < at("started top"));

    let refused = || Reply::error(400, "InvalidNar");
    let (report, asked, _) = push(infos, 1, vec![refused(), refused()], |_| {}).await;
    assert_eq!((asked.len(), report.failures().count(), report.results.len()), (2, 2, 4));
    let lost: Vec<_> =
        report.results.iter().filter(|r| matches!(r.outcome, Outcome::NotTried(NotTried::Reference(_)))).collect();
    assert_eq!(lost.len(), 2);
}

#[tokio::test]
async fn a_refusal_that_holds_for_all_ends_the_push() {
    let infos = (0..5).map(|n| info(&format!("p{n}"), &[], None)).collect();
    let (report, asked, _) = push(infos, 1, vec![Reply::error(403, "AccessError")], |_| {}).await;
    assert_eq!((asked.len(), report.results.len()), (1, 5));
    assert_eq!(report.results.iter().filter(|r| matches!(r.outcome, Outcome::NotTried(NotTried::GivenUp))).count(), 4);
}

/// A server that has seen enough answers before the end; the rest of a large NAR is not sent.
#[tokio::test]
async fn an_early_answer_is_heard() {
    let early = Reply::AnswerEarly(413, r#"{"code":413,"error":"TooLarge","message":"Too large."}"#);
    let (report, _, _) = push(vec![info("a", &[], None)], 64 << 20, vec![early], |_| {}).await;
    let Some((_, UploadError::Api(ApiError::Refused(refusal)))) = report.failures().next() else {
        panic!("{report:?}")
    };
    assert_eq!(refusal.status.as_u16(), 413);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_given_up() {
    let adjust = |settings: &mut Settings| settings.stall_timeout = Duration::from_millis(50);
    let (report, asked, _) = push(vec![info("a", &[], None)], 64 << 20, vec![Reply::Hang; 3], adjust).await;
    assert_eq!(asked.len(), 3);
    assert!(matches!(report.failures().next(), Some((_, UploadError::Api(ApiError::Stalled { .. })))));
}

#[tokio::test]
async fn metadata_that_is_too_long_for_a_header_goes_first_in_the_body() {
    let names: Vec<String> = (0..100).map(|n| format!("reference-{n}")).collect();
    let references: Vec<&str> = names.iter().map(String::as_str).collect();
    let (report, asked, _) = push(vec![info("a", &references, None)], 1, vec![uploaded()], |_| {}).await;
    assert!(report.is_complete());
    let head = &asked[0].head;
    let size = head.lines().find_map(|line| line.strip_prefix("x-attic-nar-info-preamble-size: ")).unwrap();
    let (metadata, nar) = asked[0].body.split_at(size.parse().unwrap());
    let metadata: protocol::attic::UploadPathNarInfo = serde_json::from_slice(metadata).unwrap();
    assert_eq!(metadata.references.len(), 100);
    assert_eq!(
        (metadata.nar_size, metadata.nar_hash),
        (nar.len() as u64, format!("sha256:{}", NarHash::digest_of(nar).hex()))
    );
    assert!(!head.contains("x-attic-nar-info:"));
}

#[tokio::test]
async fn a_cache_for_another_store_dir_is_refused() {
    let server = FakeServer::start([Reply::json(200, r#"{"store_dir":"/gnu/store"}"#)]).await;
    let store = Arc::new(FakeStore::new(vec![], 1));
    let begun =
        Push::begin(server.api(|_| {}), store, Arc::new(Notes::default()), "main".parse().unwrap(), OPTIONS).await;
    assert!(matches!(begun.err(), Some(PushError::StoreDir { theirs, .. }) if theirs.as_str() == "/gnu/store"));
}

#[tokio::test]
async fn the_servers_own_endpoint_is_used_and_what_upstream_has_is_left_out() {
    let infos = vec![info("a", &[], None), info("b", &[], Some("up-1"))];
    let other = FakeServer::start([missing(&infos)]).await;
    let config = format!(r#"{{"api_endpoint":"{}","upstream_cache_key_names":["up-1"]}}"#, other.endpoint);
    let server = FakeServer::start([Reply::json(200, &config)]).await;
    let store = Arc::new(FakeStore::new(infos, 1));
    let push =
        Push::begin(server.api(|_| {}), store, Arc::new(Notes::default()), "main".parse().unwrap(), OPTIONS).await;
    let plan = push.unwrap().plan(BTreeSet::new()).await.unwrap();
    assert_eq!((plan.uploads().len(), plan.skipped().len()), (1, 1));
    assert_eq!((server.asked().len(), other.asked().len()), (1, 1));
}
