//! A service in trouble: what ends well is whole, and what does not end well is an error.

use bucket::Fault;
use bytes::Bytes;
use futures::TryStreamExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use storage::Error;

use super::*;

const FAULTS: [fn() -> Fault; 9] = [
    || Fault::Delay(Duration::from_millis(30)),
    || Fault::Refuse,
    || Fault::Answer(500, "InternalError"),
    || Fault::Answer(503, "SlowDown"),
    || Fault::FlipRequest,
    || Fault::LoseAnswer,
    || Fault::CutAnswer,
    || Fault::ShortenAnswer,
    || Fault::Answer(503, ""),
];

/// Each fault once, at each request of a write and a read: all of it is got over, and nobody notices.
#[tokio::test]
async fn one_fault_is_got_over() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    let (small, large) = (bytes(100_000, 1), bytes(11 << 20, 2));
    for (number, fault) in FAULTS.iter().enumerate() {
        for at in 0..4 {
            let name = format!("chaos/{number}-{at}");
            let fault = *fault;
            lab.service.disturb(move |asked| (asked.number == at).then(fault));
            let what = format!("{:?} at {at}", fault());
            storage.put(&key(&format!("{name}-small")), small.clone()).await.expect(&what);
            lab.service.disturb(move |asked| (asked.number == at).then(fault));
            let mut writer = storage.begin(&key(&name)).await.unwrap();
            writer.write(large.clone()).await.expect(&what);
            writer.finish().await.expect(&what);
            lab.service.disturb(move |asked| (asked.number == at).then(fault));
            assert!(whole(&storage, &format!("{name}-small")).await == small, "{what}: the bytes differ");
            lab.service.disturb(move |asked| (asked.number == at).then(fault));
            assert!(whole(&storage, &name).await == large, "{what}: the bytes differ");
        }
    }
}

/// A service that never gets well: every call ends, with an error that is no word on the object.
#[tokio::test]
async fn trouble_without_end_is_an_error() {
    let lab = Lab::new();
    let storage = S3Storage::new(Options { attempts: 3, ..lab.options() }).await;
    let body = bytes(400_000, 1);
    storage.put(&key("there"), body.clone()).await.unwrap();
    for fault in FAULTS {
        if matches!(fault(), Fault::Delay(_)) {
            continue;
        }
        lab.service.disturb(move |_| Some(fault()));
        let what = format!("{:?}", fault());
        match storage.read(&key("there"), 0..body.len() as u64).await {
            Ok(read) => assert!(read == body, "{what}: short or wrong"),
            Err(error) => assert!(matches!(error, Error::Unavailable(_)), "{what}: {error:?}"),
        }
        lab.service.calm();
        assert!(whole(&storage, "there").await == body, "{what} left a mark");
    }
}

/// A body that always breaks off half-way still gets on: each answer is continued where it ended.
#[tokio::test]
async fn a_read_is_continued_where_it_broke_off() {
    let lab = Lab::new();
    let storage = lab.storage().await;
    let body = bytes(3 << 20, 1);
    storage.put(&key("there"), body.clone()).await.unwrap();
    lab.requests();
    lab.service.disturb(|asked| (asked.number < 3).then_some(Fault::CutAnswer));
    let pieces: Vec<Bytes> = storage.stream(&key("there"), 1..3 << 20).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == body[1..], "the bytes differ");
    let asked: u64 = lab.service.requests();
    assert_eq!(asked, 4, "one answer for each break, and the last one");
}

/// Trouble by chance, a lot of it: whatever was acknowledged is there, whole, when it is over.
#[tokio::test]
async fn what_was_acknowledged_is_there() {
    let lab = Lab::new();
    for seed in 0..3 {
        let storage = prefixed(Options { attempts: 4, ..lab.options() }).await;
        let mut rng = StdRng::seed_from_u64(seed);
        lab.service.disturb(move |_| rng.random_ratio(1, 3).then(|| FAULTS[rng.random_range(0..FAULTS.len())]()));
        let mut acknowledged = Vec::new();
        for number in 0..30_u64 {
            let name = format!("{seed}/{number}");
            let body = bytes(if number % 10 == 0 { 6 << 20 } else { 20_000 }, number);
            let written = async {
                let mut writer = storage.begin(&key(&name)).await?;
                writer.write(body.clone()).await?;
                writer.finish().await
            };
            match written.await {
                Ok(()) => acknowledged.push((name, body)),
                Err(error) => {
                    assert!(matches!(error, Error::Unavailable(_) | Error::Interrupted { .. }), "{error:?}");
                }
            }
        }
        assert!(acknowledged.len() > 10, "seed {seed}: only {} got through", acknowledged.len());
        lab.service.calm();
        for (name, body) in acknowledged {
            assert!(whole(&storage, &name).await == body, "seed {seed}: {name} differs");
        }
    }
}

/// A page of a list that was cut off is not the end of the list.
#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let lab = Lab::new();
    let storage = S3Storage::new(Options { attempts: 2, ..lab.options() }).await;
    for number in 0..40 {
        storage.put(&key(&format!("l/{number:02}")), Bytes::from_static(b"x")).await.unwrap();
    }
    for fault in [Fault::CutAnswer, Fault::ShortenAnswer] {
        let once = fault.clone();
        lab.service.disturb(move |asked| (asked.number == 0).then(|| once.clone()));
        assert_eq!(storage.list("l/").try_collect::<Vec<_>>().await.unwrap().len(), 40, "{fault:?}");
        lab.service.disturb(move |_| Some(fault.clone()));
        storage.list("l/").try_collect::<Vec<_>>().await.expect_err("never whole");
    }
}
