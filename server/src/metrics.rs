//! Every metric, declared once.

use std::sync::{Mutex, PoisonError};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests, by method, path (the route, without the cache), status and cache.
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// Seconds until an answer began, by path.
pub const HTTP_REQUEST_DURATION: &str = "http_request_duration_seconds";
/// narinfos that were there, by cache.
pub const CACHE_HITS: &str = "attic_cache_hits_total";
/// narinfos that were not there, by cache.
pub const CACHE_MISSES: &str = "attic_cache_misses_total";
/// Bytes of all packs.
pub const STORAGE_BYTES: &str = "attic_storage_bytes";
/// Store paths, over all caches.
pub const PATHS: &str = "flywheel_paths";
/// Bytes of all NARs, uncompressed.
pub const NAR_BYTES: &str = "flywheel_nar_bytes";
/// NARs that are hidden because stored bytes are damaged.
pub const QUARANTINED_NARS: &str = "flywheel_quarantined_nars";
/// Chunks whose stored bytes were found damaged.
pub const DAMAGED_CHUNKS: &str = "flywheel_damaged_chunks_total";
/// Answers that were refused since the memory for reading was taken.
pub const REFUSED_READS: &str = "flywheel_refused_reads_total";
/// Bytes of the NARs that were pushed.
pub const PUSHED_NAR_BYTES: &str = "flywheel_pushed_nar_bytes_total";
/// Paths that were pushed with another NAR than the cache has, by cache.
pub const DIVERGENT_PUSHES: &str = "flywheel_divergent_pushes_total";
/// How old the figures of the index are that the gauges show, in seconds.
pub const FIGURES_AGE: &str = "flywheel_figures_age_seconds";
/// Bytes that the scrub has read.
pub const SCRUBBED_BYTES: &str = "flywheel_scrubbed_bytes_total";
/// What the scrub found broken, by kind.
pub const SCRUB_FINDINGS: &str = "flywheel_scrub_findings_total";
/// Steps of the scrub that failed because the storage or the index did.
pub const SCRUB_FAILURES: &str = "flywheel_scrub_failures_total";
/// When the last whole round of the scrub ended, on whatever replica, in seconds since 1970.
pub const SCRUB_LAST_END: &str = "flywheel_scrub_last_end_timestamp_seconds";
/// Requests that took longer than [`SLOW`], by path.
pub const SLOW_REQUESTS: &str = "flywheel_slow_requests_total";

/// A request that takes longer until its answer begins is told in the log.
pub const SLOW: std::time::Duration = std::time::Duration::from_secs(10);
/// Paths that collection removed.
pub const GC_REMOVED_PATHS: &str = "flywheel_gc_removed_paths_total";
/// Chunks that collection removed.
pub const GC_REMOVED_CHUNKS: &str = "flywheel_gc_removed_chunks_total";
/// Bytes of objects that collection removed from the storage.
pub const GC_FREED_BYTES: &str = "flywheel_gc_freed_bytes_total";
/// Bytes of frames that collection copied into other packs.
pub const GC_MOVED_BYTES: &str = "flywheel_gc_moved_bytes_total";
/// Packs whose objects collection found gone.
pub const GC_MISSING_PACKS: &str = "flywheel_gc_missing_packs_total";
/// Rounds of collection that failed.
pub const GC_FAILURES: &str = "flywheel_gc_failures_total";
/// When collection last ended well, on whatever replica, in seconds since 1970.
pub const GC_LAST_RUN: &str = "attic_gc_last_run_timestamp_seconds";
/// The size beyond which the least recently used paths go, in bytes; absent without one.
pub const STORAGE_LIMIT: &str = "attic_storage_limit_bytes";
/// Bytes that a cache with a quota holds, as its quota counts them, by cache.
pub const CACHE_USED_BYTES: &str = "flywheel_cache_used_bytes";
/// Bytes that a cache may hold before pushes are refused, by cache.
pub const CACHE_QUOTA_BYTES: &str = "flywheel_cache_quota_bytes";

/// Identities that CI showed, by outcome (`done`, `refused`, `unavailable`) and rule.
pub const EXCHANGES: &str = "flywheel_exchanges_total";
/// Claims that were filed, by cache.
pub const CLAIMS_FILED: &str = "flywheel_claims_filed_total";
/// Claims that were verified, by what became of them.
pub const CLAIMS_VERIFIED: &str = "flywheel_claims_verified_total";
/// Times that builders were seen to disagree about an output, by cache.
pub const DIVERGENCES: &str = "flywheel_divergences_total";
/// Requests to the bucket, by operation and outcome.
pub const S3_REQUESTS: &str = "flywheel_s3_requests_total";
/// Seconds until an answer of the bucket began, by operation.
pub const S3_REQUEST_DURATION: &str = "flywheel_s3_request_duration_seconds";
/// Bytes sent to the bucket, again if a request was made again.
pub const S3_SENT_BYTES: &str = "flywheel_s3_sent_bytes_total";

/// Frames that were read, by where they came from: `memory` and `disk` are the read cache, `storage` is what it had not.
pub const READ_CACHE_FRAMES: &str = "flywheel_read_cache_frames_total";
/// Bytes of them, likewise.
pub const READ_CACHE_BYTES: &str = "flywheel_read_cache_bytes_total";
/// Frames that were damaged in the read cache, and read from the storage.
pub const READ_CACHE_DAMAGED: &str = "flywheel_read_cache_damaged_total";

/// The buckets of durations, in seconds; 0.5 and 2 are the limits that alerts go by.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.0, 10.0];

/// Gathers metrics from now on, for the whole process, however often it is asked to.
///
/// # Errors
/// If something else gathers them.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let installed = build()?;
    Ok(handle.insert(installed).clone())
}

fn build() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for durations in [HTTP_REQUEST_DURATION, S3_REQUEST_DURATION] {
        builder = builder.set_buckets_for_metric(Matcher::Full(durations.to_owned()), &SECONDS)?;
    }
    let handle = builder.install_recorder()?;
    describe_counter!(HTTP_REQUESTS, "Requests, by method, path, status and cache");
    describe_histogram!(HTTP_REQUEST_DURATION, Unit::Seconds, "Seconds until an answer began, by path");
    describe_counter!(CACHE_HITS, "narinfos that were there, by cache");
    describe_counter!(CACHE_MISSES, "narinfos that were not there, by cache");
    describe_gauge!(STORAGE_BYTES, Unit::Bytes, "Bytes of all packs");
    describe_gauge!(PATHS, "Store paths, over all caches");
    describe_gauge!(NAR_BYTES, Unit::Bytes, "Bytes of all NARs, uncompressed");
    describe_gauge!(QUARANTINED_NARS, "NARs that are hidden because stored bytes are damaged");
    describe_counter!(DAMAGED_CHUNKS, "Chunks whose stored bytes were found damaged");
    describe_counter!(REFUSED_READS, "Answers that were refused since the memory for reading was taken");
    describe_counter!(PUSHED_NAR_BYTES, Unit::Bytes, "Bytes of the NARs that were pushed");
    describe_counter!(DIVERGENT_PUSHES, "Paths that were pushed with another NAR than the cache has, by cache");
    describe_gauge!(FIGURES_AGE, Unit::Seconds, "How old the figures of the index are that the gauges show");
    describe_counter!(SCRUBBED_BYTES, Unit::Bytes, "Bytes that the scrub has read");
    describe_counter!(SCRUB_FINDINGS, "What the scrub found broken, by kind");
    describe_counter!(SCRUB_FAILURES, "Steps of the scrub that failed because the storage or the index did");
    describe_gauge!(
        SCRUB_LAST_END,
        Unit::Seconds,
        "When the last whole round of the scrub ended, in seconds since 1970"
    );
    describe_counter!(SLOW_REQUESTS, "Requests whose answer took more than 10 seconds to begin, by path");
    // Counters that alerts watch are there from the start: an increase from nothing is none.
    for name in [DAMAGED_CHUNKS, REFUSED_READS, SCRUBBED_BYTES, SCRUB_FAILURES] {
        metrics::counter!(name).absolute(0);
    }
    describe_counter!(EXCHANGES, "Identities that CI showed, by outcome and rule");
    describe_counter!(GC_REMOVED_PATHS, "Paths that collection removed");
    describe_counter!(GC_REMOVED_CHUNKS, "Chunks that collection removed");
    describe_counter!(GC_FREED_BYTES, Unit::Bytes, "Bytes of objects that collection removed from the storage");
    describe_counter!(GC_MOVED_BYTES, Unit::Bytes, "Bytes of frames that collection copied into other packs");
    describe_counter!(GC_MISSING_PACKS, "Packs whose objects collection found gone");
    describe_counter!(GC_FAILURES, "Rounds of collection that failed");
    describe_gauge!(GC_LAST_RUN, Unit::Seconds, "When collection last ended well, in seconds since 1970");
    describe_gauge!(STORAGE_LIMIT, Unit::Bytes, "The size beyond which the least recently used paths go");
    describe_gauge!(CACHE_USED_BYTES, Unit::Bytes, "Bytes that a cache with a quota holds, by cache");
    describe_gauge!(CACHE_QUOTA_BYTES, Unit::Bytes, "Bytes that a cache may hold before pushes are refused, by cache");
    describe_counter!(CLAIMS_FILED, "Claims that were filed, by cache");
    describe_counter!(CLAIMS_VERIFIED, "Claims that were verified, by what became of them");
    describe_counter!(DIVERGENCES, "Times that builders were seen to disagree about an output, by cache");
    describe_counter!(S3_REQUESTS, "Requests to the bucket, by operation and outcome");
    describe_histogram!(
        S3_REQUEST_DURATION,
        Unit::Seconds,
        "Seconds until an answer of the bucket began, by operation"
    );
    describe_counter!(S3_SENT_BYTES, Unit::Bytes, "Bytes sent to the bucket, again if a request was made again");
    describe_counter!(READ_CACHE_FRAMES, "Frames read from memory, disk or storage, where there is a read cache");
    describe_counter!(READ_CACHE_BYTES, Unit::Bytes, "Bytes of frames read from memory, disk or storage, likewise");
    describe_counter!(READ_CACHE_DAMAGED, "Frames that were damaged in the read cache, and read from the storage");
    Ok(handle)
}
