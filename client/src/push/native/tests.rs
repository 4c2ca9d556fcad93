use std::{collections::BTreeSet, sync::Arc};

use formats::PathInfo;

use super::{
    fake::{Fake, State},
    *,
};
use crate::{
    nix::LocalStore,
    push::{
        NotTried, Outcome, Push, PushReport, UploadError,
        plan::tests::{info, path},
        tests::{FakeStore, Notes, OPTIONS},
    },
    report::Reporter,
};

/// Bytes that do not compress, and are the same for the same seed.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut reader = blake3(seed);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        reader = *protocol::ChunkHash::of(&reader).as_bytes();
        bytes.extend_from_slice(&reader);
    }
    bytes.truncate(length);
    bytes
}

fn blake3(seed: &str) -> [u8; 32] {
    *protocol::ChunkHash::of(seed.as_bytes()).as_bytes()
}

/// A store whose paths are files of noise, made from their names up to the first dot.
fn store(infos: Vec<PathInfo>, length: usize) -> Arc<FakeStore> {
    Arc::new(FakeStore::with(infos, |info| {
        let name = info.path.name().to_string();
        noise(name.split('.').next().unwrap(), length)
    }))
}

fn names(count: usize) -> Vec<PathInfo> {
    (0..count).map(|n| info(&format!("p{n}"), &[], None)).collect()
}

fn tuning(window_bytes: usize) -> Tuning {
    Tuning { protocol: ProtocolChoice::Native, window_bytes, ..Tuning::default() }
}

async fn begin(server: &Fake, store: Arc<dyn LocalStore>, tuning: Tuning) -> (Push, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let reporter: Arc<dyn Reporter> = notes.clone();
    let push = Push::begin(server.api(), store, reporter, "main".parse().unwrap(), OPTIONS).await.unwrap();
    (push.tuned(tuning), notes)
}

async fn push(server: &Fake, store: Arc<FakeStore>, tuning: Tuning) -> PushReport {
    let (push, _) = begin(server, store, tuning).await;
    push.apply(&push.plan(BTreeSet::new()).await.unwrap()).await
}

fn streams(server: &Fake) -> Vec<String> {
    server.state().asked.iter().filter(|asked| asked.starts_with("push ")).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_paths_take_one_request_of_each_kind() {
    let server = Fake::start(State::default()).await;
    let store = store(names(300), 700);
    let report = push(&server, Arc::clone(&store), tuning(64 << 20)).await;
    assert!(report.is_complete());
    let kinds: Vec<String> =
        server.state().asked.iter().map(|asked| asked.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["main", "get-missing-paths", "push", "missing-chunks", "push"]);
    assert_eq!(server.state().paths.len(), 300);
    let Transfer { requests, wire_bytes, chunks, chunks_sent } = report.transfer;
    assert_eq!((requests, chunks, chunks_sent), (5, 300, 300));
    assert!(wire_bytes > 300 * 700 && wire_bytes < 300 * 1700, "{wire_bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_missing_is_sent_and_once() {
    let server = Fake::start(State::default()).await;
    // The same contents under three names.
    let infos = vec![info("a.1", &[], None), info("a.2", &["a.1"], None), info("a.3", &["a.2"], None)];
    let store = store(infos, 60_000);
    let first = push(&server, Arc::clone(&store), tuning(64 << 20)).await;
    let sent = first.transfer.chunks_sent;
    assert!(sent > 5 && first.transfer.chunks == 3 * sent);
    assert_eq!(streams(&server), [format!("push a.1:{} a.2: a.3:", "c".repeat(usize::try_from(sent).unwrap()))]);
    let shares: Vec<Option<f64>> = first.uploaded().map(|(_, uploaded)| uploaded.frac_deduplicated).collect();
    assert_eq!(shares, [Some(0.0), Some(1.0), Some(1.0)]);

    // The paths are deleted, the chunks stay, but for one.
    let lost = {
        let mut state = server.state();
        state.paths.clear();
        let lost = *state.chunks.keys().next().unwrap();
        state.chunks.remove(&lost).unwrap()
    };
    let again = push(&server, store, tuning(64 << 20)).await;
    assert!(again.is_complete());
    assert_eq!((again.transfer.chunks_sent, server.state().paths.len()), (1, 3));
    assert!(*server.state().streams.last().unwrap() < lost.len() + 3000);
}

/// Three paths, the second of which is larger than any window of these tests.
fn large() -> FakeStore {
    let infos = vec![info("small", &[], None), info("large", &["small"], None), info("z", &["large"], None)];
    FakeStore::with(infos, |info| {
        let name = info.path.name().to_string();
        noise(&name, if name == "large" { 400_000 } else { 3000 })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_larger_than_a_batch_goes_out_in_parts() {
    let server = Fake::start(State::default()).await;
    let report = push(&server, Arc::new(large()), tuning(64 << 10)).await;
    assert!(report.is_complete(), "{report:?}");
    let [stream] = &streams(&server)[..] else { panic!("one stream is enough") };
    assert!(stream.starts_with("push small:c") && stream.contains("large(|c") && stream.contains(") z:c"), "{stream}");
    assert!(stream.matches('|').count() > 20, "{stream}");

    // All but a few chunks are there.
    let count = {
        let mut state = server.state();
        state.paths.clear();
        state.asked.clear();
        let some: Vec<_> = state.chunks.keys().copied().take(4).collect();
        some.iter().for_each(|hash| drop(state.chunks.remove(hash)));
        state.chunks.len()
    };
    let report = push(&server, Arc::new(large()), tuning(64 << 10)).await;
    assert!(report.is_complete() && report.transfer.chunks_sent == 4, "{report:?}");
    assert_eq!(server.state().chunks.len(), count + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_larger_than_any_request_goes_behind_its_chunks() {
    let server = Fake::start(State { max_stream_bytes: Some(50_000), ..State::default() }).await;
    let report = push(&server, Arc::new(large()), tuning(64 << 10)).await;
    assert!(report.is_complete());
    let streams = streams(&server);
    assert!(streams.len() > 400_000 / 50_000 && streams[1].contains("llll"), "{streams:?}");
    assert!(streams.last().unwrap().contains("large: z:c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_path_that_was_cut_off_goes_on_where_it_was() {
    let server = Fake::start(State { cuts: vec![150_000], ..State::default() }).await;
    let report = push(&server, Arc::new(large()), tuning(64 << 10)).await;
    assert!(report.is_complete());
    let streams = streams(&server);
    assert_eq!(streams.len(), 2);
    assert!(
        streams[1].contains("large(||") && streams[1].contains("|c") && streams[1].contains(") z:c"),
        "{streams:?}"
    );
    let letters = streams.concat().replace("small", "").replace("large", "");
    assert_eq!(letters.matches(['c', 'l']).count(), server.state().chunks.len(), "each chunk arrived once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_path_that_is_not_what_nix_says_is_withdrawn() {
    let server = Fake::start(State::default()).await;
    let store = Arc::new(large());
    let (push, _) = begin(&server, Arc::clone(&store) as _, tuning(64 << 10)).await;
    let plan = push.plan(BTreeSet::new()).await.unwrap();
    let whole = std::fs::read(store.contents(&path("large"))).unwrap();
    std::fs::write(store.contents(&path("large")), &whole[..whole.len() - 8]).unwrap();
    let report = push.apply(&plan).await;
    let failed: Vec<String> = report.failures().map(|(_, error)| format!("{error:?}")).collect();
    assert!(matches!(&failed[..], [error] if error.starts_with("Damaged")), "{report:?}");
    assert_eq!((report.uploaded().count(), report.results.len()), (1, 3), "{report:?}");
    let [stream] = &streams(&server)[..] else { panic!("the stream goes on") };
    assert!(stream.contains("large(|c") && stream.contains('!'), "{stream}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_stay_below_the_limit() {
    for limit in [20_000, 45_000, 150_000] {
        let server = Fake::start(State { max_stream_bytes: Some(limit), ..State::default() }).await;
        let infos = (0..12).map(|n| {
            let before = format!("p{}", n - 1);
            info(&format!("p{n}"), if n > 0 { vec![before.as_str()] } else { vec![] }.as_slice(), None)
        });
        let report = push(&server, store(infos.collect(), 30_000), tuning(64 << 20)).await;
        assert!(report.is_complete(), "{limit}");
        assert!(server.state().streams.len() as u64 > 360_000 / limit);
        assert_eq!(report.transfer.requests, server.state().asked.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_takes_less_is_found_out() {
    // Noise of 5 MB: the first stream is too large whatever we are told, the third is not.
    let server =
        Fake::start(State { proxy_limit: Some(3 << 20), max_stream_bytes: Some(8 << 20), ..State::default() }).await;
    let report = push(&server, store(names(10), 500_000), tuning(64 << 20)).await;
    assert!(report.is_complete());
    assert!(server.state().asked.iter().any(|asked| asked == "too large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_before_a_cut_is_not_sent_again() {
    let cuts = vec![150_000, 100_000];
    let server = Fake::start(State { cuts, ..State::default() }).await;
    let infos = vec![info("x", &[], None), info("y", &["x"], None), info("z", &["y"], None)];
    let (push, notes) = begin(&server, store(infos, 90_000), tuning(64 << 20)).await;
    let report = push.apply(&push.plan(BTreeSet::new()).await.unwrap()).await;
    assert!(report.is_complete(), "{report:?}");
    let arrived = streams(&server).concat().matches('c').count();
    let chunks = server.state().chunks.len();
    assert_eq!((arrived, streams(&server).len()), (chunks, 3), "each chunk arrived once");
    assert_eq!(server.state().asked.iter().filter(|asked| *asked == "get-missing-paths").count(), 3);
    let waits: Vec<String> =
        notes.0.lock().unwrap().iter().filter(|note| note.starts_with("waiting")).cloned().collect();
    assert_eq!(waits, ["waiting 1", "waiting 1"], "an attempt after which more is there does not count");
}

/// The answer was lost, not the push.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for() {
    let server = Fake::start(State { mute: 1, ..State::default() }).await;
    let report = push(&server, store(names(3), 5000), tuning(64 << 20)).await;
    assert!(report.is_complete());
    assert_eq!(streams(&server).len(), 1, "nothing was sent again");
    assert_eq!(server.state().asked.last().unwrap(), "get-missing-paths");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_got_lost_are_sent_again() {
    let infos = || vec![info("a", &[], None), info("b", &[], None), info("c", &["b"], None)];
    let known = Fake::start(State::default()).await;
    assert!(push(&known, store(infos(), 20_000), tuning(64 << 20)).await.is_complete());
    let chunks = known.state().chunks.clone();

    // All chunks are there when asked for, and are gone when the paths come: twice, then they stay.
    let state = State { chunks: chunks.clone(), forgets: 2, loses_references: true, ..State::default() };
    let server = Fake::start(state).await;
    let report = push(&server, store(infos(), 20_000), tuning(64 << 20)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(server.state().paths.len(), 3);

    let state = State { chunks, forgets: usize::MAX, ..State::default() };
    let server = Fake::start(state).await;
    // Streams whose paths never have all their chunks: the first chunk of the next path is gone again.
    let infos = vec![info("a.1", &[], None), info("a.2", &[], None)];
    let report = push(&server, store(infos, 20_000), tuning(64 << 20)).await;
    assert!(report.uploaded().count() + report.failures().count() == 2);
    assert!(streams(&server).len() <= 5, "attempts are bounded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_path_fails_and_the_others_do_not() {
    let infos = || {
        vec![
            info("bad", &[], None),
            info("busy", &[], None),
            info("good", &["busy"], None),
            info("top", &["bad"], None),
        ]
    };
    let refuses = [("bad".to_owned(), None), ("busy".to_owned(), Some(2))].into();
    let server = Fake::start(State { refuses, loses_references: true, ..State::default() }).await;
    // A window and a limit so small that the referrer is not sent before the refusal is heard.
    let max_request_bytes = NonZeroU64::new(15_000);
    let report = push(&server, store(infos(), 10_000), Tuning { max_request_bytes, ..tuning(32 << 10) }).await;
    let outcome = |name: &str| &report.results.iter().find(|result| result.path == path(name)).unwrap().outcome;
    assert!(
        matches!(outcome("bad"), Outcome::Failed(UploadError::Api(error)) if error.to_string().contains("InvalidPathInfo"))
    );
    assert!(
        matches!(outcome("top"), Outcome::NotTried(NotTried::Reference(reference)) if *reference == path("bad")),
        "{report:?} {:?}",
        streams(&server)
    );
    assert!(matches!((outcome("busy"), outcome("good")), (Outcome::Uploaded(_), Outcome::Uploaded(_))), "{report:?}");
    assert_eq!(report.results.len(), 4);
    assert_eq!(server.state().paths.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_does_not_keep_others_from_their_chunks() {
    let server = Fake::start(State::default()).await;
    let infos =
        vec![info("a.1", &[], None), info("a.2", &[], None), info("absent", &[], None), info("b", &["absent"], None)];
    let store = store(infos, 50_000);
    // The first grows after Nix has looked; its chunks count as seen when the second is read.
    let order = {
        let (push, _) = begin(&server, Arc::clone(&store) as _, tuning(64 << 20)).await;
        push.plan(BTreeSet::new()).await.unwrap()
    };
    let first = order.uploads().iter().find(|info| info.path.name().to_string().starts_with("a.")).unwrap();
    let contents = store.contents(&first.path);
    let longer = [std::fs::read(&contents).unwrap(), vec![1; 100]].concat();
    std::fs::write(&contents, longer).unwrap();
    std::fs::remove_file(store.contents(&path("absent"))).unwrap();

    let report = push(&server, Arc::clone(&store), tuning(64 << 20)).await;
    let failed: Vec<String> = report.failures().map(|(_, error)| format!("{error:?}")).collect();
    assert_eq!(failed.len(), 2);
    assert!(
        failed.iter().any(|error| error.starts_with("Damaged")) && failed.iter().any(|error| error.starts_with("Read"))
    );
    assert_eq!((report.uploaded().count(), server.state().paths.len(), report.results.len()), (1, 1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_holds_for_all_ends_the_push() {
    let server = Fake::start(State { status: Some(403), ..State::default() }).await;
    let report = push(&server, store(names(5), 100), tuning(64 << 20)).await;
    assert_eq!((report.failures().count(), report.results.len(), server.state().streams.len()), (1, 5, 1));

    let server = Fake::start(State { status: Some(500), ..State::default() }).await;
    let report = push(&server, store(names(5), 100), tuning(64 << 20)).await;
    assert_eq!((report.failures().count(), report.results.len(), server.state().streams.len()), (1, 5, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_no_native_push() {
    let server = Fake::start(State { version: Some(2), ..State::default() }).await;
    let report = push(&server, store(names(1), 100), tuning(64 << 20)).await;
    let Some((_, error)) = report.failures().next() else { panic!("it was told to push natively or not at all") };
    assert!(format!("{error:?}").contains("version 2"), "{error:?}");

    let auto = Tuning { protocol: ProtocolChoice::Auto, ..tuning(64 << 20) };
    let (push, notes) = begin(&server, store(names(1), 100), auto).await;
    push.apply(&push.plan(BTreeSet::new()).await.unwrap()).await;
    assert!(notes.0.lock().unwrap().contains(&"version 2".to_owned()));
    assert_eq!(server.state().asked.last().unwrap(), "upload-path");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survey_sends_nothing() {
    let server = Fake::start(State::default()).await;
    assert!(push(&server, store(vec![info("a.1", &[], None)], 30_000), tuning(64 << 20)).await.is_complete());
    let infos = vec![info("a.2", &[], None), info("b", &[], None), info("gone", &[], None)];
    let store = store(infos, 30_000);
    std::fs::remove_file(store.contents(&path("gone"))).unwrap();
    let (push, _) = begin(&server, store, tuning(64 << 20)).await;
    let plan = push.plan(BTreeSet::new()).await.unwrap();
    let survey = push.survey(&plan).await.unwrap().unwrap();
    let new = |name: &str| survey.new_bytes[plan.uploads().iter().position(|info| info.path == path(name)).unwrap()];
    // The last bytes of a NAR of one file are a chunk that all of them share.
    let whole = plan.uploads()[0].nar_size - 16;
    assert_eq!((new("a.2"), new("b"), new("gone")), (Some(0), Some(whole), None));
    assert_eq!((survey.total(), survey.errors.len(), server.state().streams.len()), (whole, 1, 1));
}
