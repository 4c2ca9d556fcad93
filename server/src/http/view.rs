//! `/{cache}@{tag}/…`: a cache seen through a tag. Read only, and only what is promoted.
//!
//! Its narinfos carry the signatures of the plain cache and, besides, that of the promotion key, which no other address has: whoever
//! trusts that key alone gets what is promoted and nothing else.

use std::sync::Arc;

use axum::{http::HeaderValue, response::Response};
use database::{Cache, RevisionId, View};
use formats::{Compression, FileHash, StorePathHash};
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

/// The NARs of views that were asked for, and that there was none.
pub type ViewNars = Kept<(RevisionId, FileHash), Option<Arc<nar::Located>>>;

/// The views that requests name, and that there is none of a name.
pub type Views = Kept<(CacheName, TagName), Option<Arc<Shown>>>;

/// A view, and the cache as it shows it.
#[derive(Debug)]
pub struct Shown {
    view: View,
    /// As public as the tag, whatever the cache is.
    cache: Cache,
}

/// For some thousand views.
const VIEW_BYTES: u64 = 2 << 20;
/// What a view takes in memory with its keys, roughly.
const A_VIEW: usize = 1400;

impl From<View> for Shown {
    fn from(view: View) -> Self {
        let cache = Cache { is_public: view.visibility == Visibility::Public, ..view.cache.clone() };
        Self { view, cache }
    }
}

impl Weigh for Option<Arc<Shown>> {
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

/// Keeps NARs of views.
#[must_use]
pub fn kept_nars() -> ViewNars {
    nar::kept()
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
    let find = async |_: &_| app.database.find_view(name, tag).await.map(|view| view.map(|view| Arc::new(view.into())));
    let shown = app.views.get(&*app.database, key, find).await?;
    let visibility = shown.as_ref().map(|shown| shown.view.visibility);
    if visibility != Some(Visibility::Public) {
        // Without the right to the cache nobody learns which tags it has.
        let caller = access::caller(app, asked.headers).await?;
        let cache = shown.as_ref().map(|shown| &shown.view.cache);
        access::allow(caller.require(Permission::Pull, name, cache), &caller)?;
    }
    let shown = shown.filter(|_| visibility != Some(Visibility::LocalOnly)).ok_or_else(ApiError::no_such_object)?;
    let Shown { view, cache } = &*shown;
    let revision = view.revision.ok_or_else(ApiError::no_such_object)?;
    let mut response = read(app, cache, view, revision, target, asked).await?;
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
            let look_up = async |_: &_| match app.database.find_promoted_nar(cache.id, revision, &file_hash).await? {
                Some(found) => Ok::<_, ApiError>(Some(Arc::new(nar::Located::of(app, found).await?))),
                None => Ok(None),
            };
            let found = app.view_nars.get(&*app.database, (revision, file_hash), look_up).await?;
            let found = found.ok_or_else(ApiError::no_such_object)?;
            nar::file(app, cache, &found, asked).await
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
