//! How quick a storage is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use storage::{Error, Storage};

use super::{Finding, Place, checked, noise};

/// How many small objects are written and read, one after the other.
const SMALL: usize = 30;
/// How many large ones, four at a time, and how large they are.
const LARGE: usize = 8;
const LARGE_BYTES: usize = 4 << 20;

pub(super) async fn check(storage: &dyn Storage, place: &Place) -> Vec<Finding> {
    vec![checked("latency", latency(storage, place)).await, checked("throughput", throughput(storage, place)).await]
}

async fn latency(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    let body = noise(4 << 10);
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    for number in 0..SMALL {
        let key = place.key(&format!("latency-{number}"));
        let begun = Instant::now();
        storage.put(&key, body.clone()).await?;
        puts.push(begun.elapsed());
        let begun = Instant::now();
        storage.read(&key, 0..body.len() as u64).await?;
        gets.push(begun.elapsed());
    }
    Ok(Finding::good("latency", format!("4 KiB, one after the other: write {}, read {}", told(puts), told(gets))))
}

fn told(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len() - 1)).copied().unwrap_or_default();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.1} ms (median; 95 %: {:.1} ms)", ms(at(50)), ms(at(95)))
}

async fn throughput(storage: &dyn Storage, place: &Place) -> Result<Finding, Error> {
    let body: Bytes = noise(LARGE_BYTES);
    let keys: Vec<_> = (0..LARGE).map(|number| place.key(&format!("throughput-{number}"))).collect();
    let begun = Instant::now();
    let put = |key| {
        let body = body.clone();
        async move { storage.put(&key, body).await }
    };
    stream::iter(keys.clone()).map(Ok).try_for_each_concurrent(4, put).await?;
    let written = begun.elapsed();
    let begun = Instant::now();
    let read = |key| async move { storage.read(&key, 0..LARGE_BYTES as u64).await.map(drop) };
    stream::iter(keys).map(Ok).try_for_each_concurrent(4, read).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = |time: Duration| (LARGE * LARGE_BYTES) as f64 / 1e6 / time.as_secs_f64();
    let told =
        format!("4 MiB, four at a time: write {:.0} MB/s, read {:.0} MB/s", rate(written), rate(begun.elapsed()));
    Ok(Finding::good("throughput", told))
}
