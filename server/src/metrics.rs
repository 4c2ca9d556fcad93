//! Every metric, declared once.

/// Chunks whose stored bytes were found damaged.
pub const DAMAGED_CHUNKS: &str = "flywheel_damaged_chunks_total";
/// Requests, by method, path (the route, without the cache) and status.
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// How long requests took until the answer began, in seconds, by path.
pub const HTTP_REQUEST_DURATION: &str = "http_request_duration_seconds";
/// narinfos that were there, by cache.
pub const CACHE_HITS: &str = "attic_cache_hits_total";
/// narinfos that were not there, by cache.
pub const CACHE_MISSES: &str = "attic_cache_misses_total";
/// Bytes of all packs.
pub const STORAGE_BYTES: &str = "attic_storage_bytes";
/// Bytes of the NARs that were pushed.
pub const PUSHED_NAR_BYTES: &str = "flywheel_pushed_nar_bytes_total";
/// Paths that were pushed with another NAR than the cache has.
pub const DIVERGENT_PUSHES: &str = "flywheel_divergent_pushes_total";
