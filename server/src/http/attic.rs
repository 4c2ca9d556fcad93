//! Attic's API v1: what its stock client speaks.

use std::collections::HashSet;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use database::{Act, Cache, CacheChange, DEFAULT_PRIORITY, NewCache};
use formats::{ContentAddress, KeyName, NarHash, PathInfo, SecretKey, Signature, StoreDir, StorePath, StorePathHash};
use protocol::{
    CacheName, ErrorCode, Permission,
    attic::{
        CacheConfig, GetMissingPathsRequest, GetMissingPathsResponse, KeypairConfig, NAR_INFO_HEADER,
        NAR_INFO_PREAMBLE_SIZE_HEADER, RetentionPeriod, UploadPathNarInfo, UploadPathResult, UploadPathResultKind,
    },
};

use super::{
    ApiError,
    access::{self, InPath},
    audited::{Origin, audited},
    json::{from_json, json, json_up_to},
    put::reader,
    substituter::done,
};
use crate::{app::App, audit::Deed, ingest::WireDigest};

/// The most that a question about store paths may send.
const MAX_ASKED_BYTES: usize = 16 << 20;

/// Answers which of these store paths the cache lacks.
pub(super) async fn get_missing_paths(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    // Which cache it is about stands in the body, which is read for those only who may push to some cache.
    let caller = access::caller(&app, &headers).await?;
    if !caller.may_push_somewhere() {
        return Err(if caller.claims().is_some() { ApiError::forbidden() } else { ApiError::unauthorized() });
    }
    let ask: GetMissingPathsRequest = json_up_to(request, MAX_ASKED_BYTES).await?;
    let (cache, _) = access::cache(&app, &headers, &ask.cache, Permission::Push).await?;
    let missing_paths = app.database.missing_paths(cache.id, &ask.store_path_hashes).await?;
    // Whoever asks relies on what is there.
    let missing: HashSet<&StorePathHash> = missing_paths.iter().collect();
    for hash in ask.store_path_hashes.iter().filter(|hash| !missing.contains(hash)) {
        app.usage.note(cache.id, *hash);
    }
    Ok(Json(GetMissingPathsResponse { missing_paths }).into_response())
}

/// Takes a path and its NAR.
pub(super) async fn upload_path(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let mut body = reader(&app, body, WireDigest::default());
    let about: UploadPathNarInfo = match parts.headers.get(NAR_INFO_PREAMBLE_SIZE_HEADER) {
        Some(size) => {
            let size = size.to_str().ok().and_then(|text| text.parse::<usize>().ok());
            let size = size.ok_or_else(|| bad_request("The size of the preamble is no number."))?;
            check_metadata_size(&app, size)?;
            let preamble = body.take_front(size).await.map_err(crate::ingest::IngestError::Body)?;
            from_json(&preamble)?
        }
        None => match parts.headers.get(NAR_INFO_HEADER) {
            Some(header) => {
                check_metadata_size(&app, header.len())?;
                from_json(header.as_bytes())?
            }
            None => {
                return Err(bad_request("The upload has no metadata.").hint(
                    "Send it in the header X-Attic-Nar-Info, or before the NAR with X-Attic-Nar-Info-Preamble-Size.",
                ));
            }
        },
    };
    let (cache, caller) = access::cache(&app, &parts.headers, &about.cache, Permission::Push).await?;
    access::takes_pushes(&app, &cache).await?;
    let info = path_info(&cache.store_dir, &about)?;
    let pushed = app.ingest.push_path(&cache, info, caller.subject().map(str::to_owned), body).await?;
    let kind = match pushed.file_size {
        Some(_) => UploadPathResultKind::Uploaded,
        None => UploadPathResultKind::Deduplicated,
    };
    let (file_size, frac_deduplicated) = (pushed.file_size, pushed.frac_deduplicated);
    Ok(Json(UploadPathResult { kind, file_size, frac_deduplicated }).into_response())
}

fn check_metadata_size(app: &App, size: usize) -> Result<(), ApiError> {
    let limit = app.settings.max_nar_info_size;
    let too_large = || ApiError::new(ErrorCode::TooLarge, format!("The metadata is larger than {limit} bytes."));
    (size <= limit).then_some(()).ok_or_else(too_large)
}

/// Parses the metadata of an upload: whatever is signed is a type by then.
pub(crate) fn path_info(store_dir: &StoreDir, about: &UploadPathNarInfo) -> Result<PathInfo, ApiError> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        ApiError::new(ErrorCode::InvalidPathInfo, format!("The {what} is malformed: {error}"))
    };
    let path = store_dir.parse_path(&about.store_path).map_err(|error| invalid("store path", &error))?;
    if path.hash().to_string() != about.store_path_hash {
        let message = format!("The store path {path} does not have the hash part {:?}.", about.store_path_hash);
        return Err(ApiError::new(ErrorCode::InvalidPathInfo, message));
    }
    let base_name = |what: &str, text: &str| text.parse::<StorePath>().map_err(|error| invalid(what, &error));
    let references = about.references.iter().map(|text| base_name("reference", text)).collect::<Result<_, _>>()?;
    let deriver = about
        .deriver
        .as_deref()
        .filter(|&text| text != "unknown-deriver")
        .map(|text| store_dir.parse_path(text).or_else(|_| base_name("deriver", text)));
    let signature = |text: &String| text.parse::<Signature>().map_err(|error| invalid("signature", &error));
    let ca = about.ca.as_deref().filter(|text| !text.is_empty());
    if about.nar_size == 0 {
        return Err(ApiError::new(ErrorCode::InvalidPathInfo, "The NAR has no bytes."));
    }
    Ok(PathInfo {
        nar_hash: about.nar_hash.parse::<NarHash>().map_err(|error| invalid("NAR hash", &error))?,
        nar_size: about.nar_size,
        references,
        deriver: deriver.transpose()?,
        signatures: about.sigs.iter().map(signature).collect::<Result<_, _>>()?,
        ca: ca
            .map(|text| text.parse::<ContentAddress>().map_err(|error| invalid("content address", &error)))
            .transpose()?,
        path,
    })
}

/// Tells the settings of a cache.
pub(super) async fn get_cache_config(
    State(app): State<App>,
    InPath(name): InPath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (cache, _) = access::cache(&app, &headers, &name, Permission::Pull).await?;
    cache_config(&app, &cache, &headers)
}

/// The settings of a cache, as Attic shows them.
pub(super) fn cache_config(app: &App, cache: &Cache, headers: &HeaderMap) -> Result<Response, ApiError> {
    let own = access::own_address(app, headers)?;
    let api = app.settings.api_endpoint.as_ref().map_or(own.as_str(), |url| url.as_str());
    let substituter = app.settings.substituter_endpoint.as_ref().map_or(api, |url| url.as_str());
    let config = CacheConfig {
        keypair: None,
        substituter_endpoint: Some(format!("{}/{}", substituter.trim_end_matches('/'), cache.name)),
        api_endpoint: Some(format!("{}/", api.trim_end_matches('/'))),
        public_key: cache.keys.first().map(|key| key.public_key().to_string()),
        is_public: Some(cache.is_public),
        store_dir: Some(cache.store_dir.to_string()),
        priority: Some(cache.priority),
        upstream_cache_key_names: Some(cache.upstream_key_names.iter().map(ToString::to_string).collect()),
        retention_period: Some(cache.retention.map_or(RetentionPeriod::Global, RetentionPeriod::Period)),
    };
    Ok(Json(config).into_response())
}

/// Makes a cache.
pub(super) async fn create_cache(
    State(app): State<App>,
    InPath(name): InPath,
    origin: Origin,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let deed = Deed::done(Act::CacheCreate).on(&name);
    audited(&app, &headers, &origin, deed, create(&app, name, request)).await
}

async fn create(app: &App, name: CacheName, request: Request) -> Result<Response, ApiError> {
    let caller = access::caller(app, request.headers()).await?;
    access::allow(caller.require(Permission::CreateCache, &name, None), &caller)?;
    access::takes_changes(app)?;
    let config: CacheConfig = json(request).await?;
    let cache = NewCache {
        is_public: config.is_public.unwrap_or(false),
        store_dir: config.store_dir.as_deref().map(store_dir).transpose()?.unwrap_or_default(),
        priority: config.priority.unwrap_or(DEFAULT_PRIORITY),
        upstream_key_names: key_names(config.upstream_cache_key_names.as_deref().unwrap_or_default())?,
        retention: retention(config.retention_period),
        key: key(config.keypair.as_ref().unwrap_or(&KeypairConfig::Generate), &name)?,
        now: app.clock.now(),
        name,
    };
    match app.journal.create_cache(&*app.database, &cache).await? {
        Some(_) => Ok(done(StatusCode::OK)),
        None => Err(ApiError::new(ErrorCode::CacheAlreadyExists, "The cache already exists.")),
    }
}

/// Changes the settings that the request names.
pub(super) async fn configure_cache(
    State(app): State<App>,
    InPath(name): InPath,
    origin: Origin,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let deed = Deed::done(Act::CacheConfigure).on(&name);
    audited(&app, &headers, &origin, deed, configure(&app, name, request)).await
}

async fn configure(app: &App, name: CacheName, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    // Which permission it takes stands in the body, which is read for those only who have either.
    let either = [Permission::ConfigureCache, Permission::ConfigureCacheRetention];
    let caller = access::caller(app, &headers).await?;
    if !either.into_iter().any(|permission| caller.granted(&name).contains(permission)) {
        access::cache(app, &headers, &name, Permission::ConfigureCache).await?;
    }
    let config: CacheConfig = json(request).await?;
    let only_retention = CacheConfig { retention_period: config.retention_period, ..CacheConfig::default() };
    let changes_settings = config != only_retention;
    let needed = if changes_settings { Permission::ConfigureCache } else { Permission::ConfigureCacheRetention };
    let (cache, caller) = access::cache(app, &headers, &name, needed).await?;
    if config.retention_period.is_some() && !caller.granted(&name).contains(Permission::ConfigureCacheRetention) {
        return Err(ApiError::forbidden());
    }
    access::takes_settings(app, &cache).await?;
    let change = CacheChange {
        is_public: config.is_public,
        store_dir: config.store_dir.as_deref().map(store_dir).transpose()?,
        priority: config.priority,
        upstream_key_names: config.upstream_cache_key_names.as_deref().map(key_names).transpose()?,
        retention: config.retention_period.map(|period| retention(Some(period))),
        keys: config.keypair.as_ref().map(|keypair| key(keypair, &name)).transpose()?.map(|key| vec![key]),
    };
    app.journal.change_cache(&*app.database, &name, &change).await?.ok_or_else(ApiError::no_such_cache)?;
    Ok(done(StatusCode::OK))
}

/// Hides a cache for ever.
pub(super) async fn destroy_cache(
    State(app): State<App>,
    InPath(name): InPath,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let deed = Deed::done(Act::CacheDestroy).on(&name);
    let work = async {
        access::cache(&app, &headers, &name, Permission::DestroyCache).await?;
        access::takes_changes(&app)?;
        match app.journal.delete_cache(&*app.database, &name, app.clock.now()).await? {
            true => Ok(done(StatusCode::OK)),
            false => Err(ApiError::no_such_cache()),
        }
    };
    audited(&app, &headers, &origin, deed, work).await
}

fn store_dir(text: &str) -> Result<StoreDir, ApiError> {
    text.parse().map_err(|error| bad_request(&format!("{text:?} is no store dir: {error}")))
}

fn key_names(names: &[String]) -> Result<Vec<KeyName>, ApiError> {
    let parse = |name: &String| name.parse().map_err(|error| bad_request(&format!("{name:?} is no key name: {error}")));
    names.iter().map(parse).collect()
}

fn retention(period: Option<RetentionPeriod>) -> Option<u32> {
    match period {
        Some(RetentionPeriod::Period(seconds)) => Some(seconds),
        Some(RetentionPeriod::Global) | None => None,
    }
}

/// A key of that cache: a new one is named after it.
pub(crate) fn key(keypair: &KeypairConfig, cache: &CacheName) -> Result<SecretKey, ApiError> {
    let invalid = |error: &dyn std::fmt::Display| {
        ApiError::new(ErrorCode::InvalidKey, format!("The key is malformed: {error}"))
            .hint("A key is NAME:BASE64 of 64 bytes, as nix key generate-secret prints it.")
    };
    match keypair {
        KeypairConfig::Generate => {
            let name = cache.as_str().parse::<KeyName>().map_err(|error| invalid(&error))?;
            Ok(SecretKey::generate(name, rand::random()))
        }
        KeypairConfig::Keypair(text) => text.parse().map_err(|error| invalid(&error)),
    }
}

fn bad_request(message: &str) -> ApiError {
    ApiError::new(ErrorCode::RequestError, message)
}
