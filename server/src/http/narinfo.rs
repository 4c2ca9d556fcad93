//! `<hash>.narinfo`: what Nix asks most.

use std::{cell::RefCell, collections::HashMap};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use database::{Cache, CacheId, PathRow};
use formats::{Compression, NarInfo, SecretKey, StorePathHash};
use metrics::{Counter, counter};

use super::{ApiError, response};
use crate::{
    app::App,
    kept::{Kept, Weigh},
    metrics as names,
};

/// The narinfos that were asked for, and that there was none.
pub type NarInfos = Kept<(CacheId, StorePathHash), Option<Rendered>>;

/// About how long a narinfo is, in bytes.
pub(super) const EXPECTED_BYTES: u64 = 800;

/// A signed narinfo.
#[derive(Debug, Clone)]
pub struct Rendered {
    body: Bytes,
    etag: HeaderValue,
}

impl Weigh for Option<Rendered> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |rendered| rendered.body.len() + rendered.etag.len())
    }
}

/// Keeps narinfos, up to so many bytes of them.
#[must_use]
pub fn kept(capacity: u64) -> NarInfos {
    Kept::new(capacity, EXPECTED_BYTES)
}

/// How often a cache had what was asked for, and how often not.
#[derive(Clone)]
struct Luck {
    hits: Counter,
    misses: Counter,
}

thread_local! {
    /// To find a metric by its labels takes longer than to count.
    static LUCK: RefCell<HashMap<CacheId, Luck>> = RefCell::default();
}

fn count(cache: &Cache, of: impl FnOnce(&Luck) -> &Counter) {
    let find = || {
        let name = cache.name.to_string();
        Luck {
            hits: counter!(names::CACHE_HITS, "cache" => name.clone()),
            misses: counter!(names::CACHE_MISSES, "cache" => name),
        }
    };
    LUCK.with_borrow_mut(|all| of(all.entry(cache.id).or_insert_with(find)).increment(1));
}

/// Answers one look-up.
pub(super) async fn get(
    app: &App,
    cache: &Cache,
    hash: StorePathHash,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let found = app
        .narinfos
        .get(&*app.database, (cache.id, hash), async |_| Box::pin(look_up(app, cache, &hash)).await)
        .await?;
    answer(app, cache, hash, found, headers)
}

/// The answer, when the narinfo is at hand.
pub(super) fn answer(
    app: &App,
    cache: &Cache,
    hash: StorePathHash,
    found: Option<Rendered>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let Some(Rendered { body, etag }) = found else {
        count(cache, |luck| &luck.misses);
        app.usage.note_miss(cache.id);
        return Err(ApiError::no_such_object());
    };
    count(cache, |luck| &luck.hits);
    app.usage.note(cache.id, hash);
    // Signatures may be added, so a narinfo is not for ever.
    let cache_control = response::cache_control(cache.is_public, "public, max-age=3600", "private, max-age=3600");
    if response::is_unchanged(headers, &etag) {
        return Ok(response::unchanged(etag, cache_control));
    }
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/x-nix-narinfo"));
    headers.insert(header::CACHE_CONTROL, cache_control);
    headers.insert(header::ETAG, etag);
    Ok(response)
}

/// Reads the path; renders it, and signs with every key of the cache.
async fn look_up(app: &App, cache: &Cache, hash: &StorePathHash) -> Result<Option<Rendered>, ApiError> {
    let Some(row) = app.database.find_path(cache.id, hash).await? else { return Ok(None) };
    Ok(Some(render(cache, row, &[])))
}

/// Renders the narinfo, signed with every key of the cache, and with these.
pub(super) fn render(cache: &Cache, row: PathRow, keys: &[SecretKey]) -> Rendered {
    let mut narinfo = narinfo(cache, row);
    for key in keys {
        narinfo.info.sign(&cache.store_dir, key);
    }
    let body = narinfo.render(&cache.store_dir);
    let etag = response::etag(&blake3::hash(body.as_bytes()).to_hex()[..32]);
    Rendered { body: body.into(), etag }
}

/// The narinfo of a path as this server serves it.
fn narinfo(cache: &Cache, row: PathRow) -> NarInfo {
    let mut info = row.info;
    for key in &cache.keys {
        info.sign(&cache.store_dir, key);
    }
    NarInfo {
        info,
        url: format!("nar/{}.nar{}", row.file_hash.nix32(), Compression::Zstd.suffix()),
        compression: Compression::Zstd,
        file_hash: Some(row.file_hash),
        file_size: Some(row.file_size),
        extra: row.extra,
    }
}
