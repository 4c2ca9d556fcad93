//! `/{cache}@{tag}/…`: a cache seen through a tag. Read only, and only what is promoted.
//!
//! Its narinfos carry the signatures of the plain cache and, besides, that of the promotion key, which no other address has: whoever
//! trusts that key alone gets what is promoted and nothing else.

use std::sync::Arc;

use axum::{http::HeaderValue, response::Response};
use database::{Cache, RevisionId, View};
use formats::{Compression, StorePathHash};
use protocol::{
    CacheName, Permission,
    attic::CACHE_VISIBILITY_HEADER,
    promotion::{TagName, Visibility},
};

use super::{
    ApiError, access,
    asked::Asked,
    document, nar,
    narinfo::{self, Rendered},
    substituter::cache_info,
    target::{NarName, Target},
};
use crate::{
    app::App,
    kept::{Kept, Weigh},
};

/// The narinfos of views that were asked for, and that there was none.
pub type ViewNarInfos = Kept<(RevisionId, StorePathHash), Option<Rendered>>;

/// The views that requests name, and that there is none of a name.
pub type Views = Kept<(CacheName, TagName), Option<Arc<View>>>;

/// For some thousand views.
const VIEW_BYTES: u64 = 2 << 20;
/// What a view takes in memory with its keys, roughly.
const A_VIEW: usize = 1000;

impl Weigh for Option<Arc<View>> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |_| A_VIEW)
    }
}

/// Keeps views.
#[must_use]
pub fn kept_views() -> Views {
    Kept::new(VIEW_BYTES, A_VIEW as u64)
}

/// Keeps narinfos of views, up to so many bytes of them.
#[must_use]
pub fn kept(capacity: u64) -> ViewNarInfos {
    Kept::new(capacity, narinfo::EXPECTED_BYTES)
}

/// Serves a file of a view.
pub(super) async fn answer(
    app: &App,
    name: &CacheName,
    tag: &TagName,
    target: Target,
    asked: Asked<'_>,
) -> Result<Response, ApiError> {
    let key = (name.clone(), tag.clone());
    let find = async |_: &_| app.database.find_view(name, tag).await.map(|view| view.map(Arc::new));
    let view = app.views.get(&*app.database, key, find).await?;
    let visibility = view.as_ref().map(|view| view.visibility);
    if visibility != Some(Visibility::Public) {
        // Without the right to the cache nobody learns which tags it has.
        let caller = access::caller(app, asked.headers).await?;
        access::allow(caller.require(Permission::Pull, name, view.as_ref().map(|view| &view.cache)), &caller)?;
    }
    let view = view.filter(|view| view.visibility != Visibility::LocalOnly).ok_or_else(ApiError::no_such_object)?;
    let revision = view.revision.ok_or_else(ApiError::no_such_object)?;
    // From here on it is as public as its tag, whatever the cache is.
    let cache = Cache { is_public: view.visibility == Visibility::Public, ..view.cache.clone() };
    let mut response = read(app, &cache, &view, revision, target, asked).await?;
    if cache.is_public {
        response.headers_mut().insert(CACHE_VISIBILITY_HEADER, HeaderValue::from_static("public"));
    }
    Ok(response)
}

async fn read(
    app: &App,
    cache: &Cache,
    view: &View,
    revision: RevisionId,
    target: Target,
    asked: Asked<'_>,
) -> Result<Response, ApiError> {
    match target {
        Target::CacheInfo => Ok(cache_info(&cache.store_dir, cache.priority)),
        Target::NarInfo(hash) => {
            let key = (revision, hash);
            let found = app
                .view_narinfos
                .get(&*app.database, key, async |_| {
                    let row = app.database.find_promoted_path(cache.id, revision, &hash).await?;
                    Ok::<_, ApiError>(row.map(|row| narinfo::render(cache, row, &view.keys)))
                })
                .await?;
            narinfo::answer(app, cache, hash, found, asked.headers)
        }
        Target::Nar(NarName { file_hash: Some(file_hash), compression: Compression::Zstd, .. }) => {
            let found = app.database.find_promoted_nar(cache.id, revision, &file_hash).await?;
            let found = found.ok_or_else(ApiError::no_such_object)?;
            nar::file(app, cache, &nar::Located::of(app, found).await?, asked).await
        }
        Target::Listing(hash) => {
            let found = app.database.find_promoted_path(cache.id, revision, &hash).await?;
            found.ok_or_else(ApiError::no_such_object)?;
            document::listing(app, cache, hash).await
        }
        // Neither logs nor what else was put beside the paths is promoted.
        Target::Nar(_) | Target::AtticCacheInfo | Target::Document(..) => Err(ApiError::no_such_object()),
    }
}
