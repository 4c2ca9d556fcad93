//! What a URL of the substituter names.

use std::borrow::Cow;

use database::DocumentKind;
use formats::{Compression, FileHash, StorePath, StorePathHash};
use percent_encoding::percent_decode_str;
use protocol::{CacheName, promotion::TagName};

/// The longest file name that is looked up, in bytes.
const MAX_NAME_BYTES: usize = 300;

/// A file of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `nix-cache-info`
    CacheInfo,
    /// `attic-cache-info`
    AtticCacheInfo,
    /// `<hash>.narinfo`
    NarInfo(StorePathHash),
    /// `nar/…`
    Nar(NarName),
    /// `<hash>.ls`
    Listing(StorePathHash),
    /// A log, realisation or debuginfo link.
    Document(DocumentKind, String),
}

/// A file under `nar/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NarName {
    /// The whole name.
    pub(super) file_name: String,
    /// The part before `.nar`, if it is a file hash.
    pub(super) file_hash: Option<FileHash>,
    /// The part before `.nar`, if it is the hash part of a store path, as Attic names its NARs.
    pub(super) path_hash: Option<StorePathHash>,
    /// By its suffix.
    pub(super) compression: Compression,
}

/// A path of the substituter: in which cache, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `None` is the default cache.
    pub(super) cache: Option<CacheName>,
    /// The tag through which the cache is seen: `/{cache}@{tag}/…`.
    pub(super) tag: Option<TagName>,
    /// What.
    pub(super) target: Target,
}

impl Address {
    /// Reads the path of a URL. `None` if it can name nothing.
    pub(super) fn parse(path: &str, query: Option<&str>) -> Option<Self> {
        let segments: Option<Vec<Cow<'_, str>>> = path.strip_prefix('/')?.split('/').map(decode).collect();
        let segments = segments?;
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        if let [first, rest @ ..] = &segments[..]
            && !rest.is_empty()
            && let Some((cache, tag)) = cache_and_tag(first)
        {
            return Some(Self { cache: Some(cache), tag, target: Target::parse(rest, query)? });
        }
        Some(Self { cache: None, tag: None, target: Target::parse(&segments, query)? })
    }
}

/// `cache`, or `cache@tag`.
fn cache_and_tag(segment: &str) -> Option<(CacheName, Option<TagName>)> {
    match segment.split_once('@') {
        None => Some((segment.parse().ok()?, None)),
        Some((cache, tag)) => Some((cache.parse().ok()?, Some(tag.parse().ok()?))),
    }
}

impl Target {
    /// Reads the part of the path below the cache.
    fn parse(segments: &[&str], query: Option<&str>) -> Option<Self> {
        match segments {
            ["nix-cache-info"] => Some(Self::CacheInfo),
            ["attic-cache-info"] => Some(Self::AtticCacheInfo),
            [file] => match file.rsplit_once('.')? {
                (hash, "narinfo") => Some(Self::NarInfo(hash.parse().ok()?)),
                (hash, "ls") => Some(Self::Listing(hash.parse().ok()?)),
                _ => None,
            },
            ["nar", file] => NarName::parse(file).map(Self::Nar),
            ["log", name] => log_name(name, query).map(|name| Self::Document(DocumentKind::Log, name)),
            ["realisations", file] => {
                let id = file.strip_suffix(".doi")?;
                let (drv, output) = id.strip_prefix("sha256:")?.split_once('!')?;
                let valid = drv.len() == 64 && drv.bytes().all(|b| b.is_ascii_hexdigit()) && is_output_name(output);
                valid.then(|| Self::Document(DocumentKind::Realisation, id.to_owned()))
            }
            ["build-trace-v2", drv, file] => {
                let (drv, output) = (drv.parse::<StorePath>().ok()?, file.strip_suffix(".doi")?);
                is_output_name(output).then(|| Self::Document(DocumentKind::BuildTrace, format!("{drv}/{output}")))
            }
            ["debuginfo", file] => {
                let id = file.strip_suffix(".debug").unwrap_or(file);
                let valid = id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit());
                valid.then(|| Self::Document(DocumentKind::DebugInfo, id.to_ascii_lowercase()))
            }
            _ => None,
        }
    }

    /// The route, for logs and metrics: without the cache and without what was asked for.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Self::CacheInfo => "/nix-cache-info",
            Self::AtticCacheInfo => "/attic-cache-info",
            Self::NarInfo(_) => "/{hash}.narinfo",
            Self::Nar(_) => "/nar/{file}",
            Self::Listing(_) => "/{hash}.ls",
            Self::Document(DocumentKind::Log, _) => "/log/{drv}",
            Self::Document(DocumentKind::Realisation, _) => "/realisations/{id}",
            Self::Document(DocumentKind::BuildTrace, _) => "/build-trace-v2/{drv}/{output}",
            Self::Document(DocumentKind::DebugInfo, _) => "/debuginfo/{id}",
            Self::Document(DocumentKind::Listing, _) => "/{hash}.ls",
            // No address is read as one.
            Self::Document(DocumentKind::Derivation, _) => "/evidence",
        }
    }
}

impl NarName {
    fn parse(file: &str) -> Option<Self> {
        let (stem, rest) = file.split_once('.')?;
        let suffix = rest.strip_prefix("nar")?;
        let all = [
            Compression::None,
            Compression::Xz,
            Compression::Bzip2,
            Compression::Gzip,
            Compression::Zstd,
            Compression::Brotli,
        ];
        let compression = all.into_iter().find(|c| c.suffix() == suffix)?;
        let valid = !stem.is_empty() && file.len() <= MAX_NAME_BYTES && stem.bytes().all(|b| b.is_ascii_alphanumeric());
        let file_hash = if stem.len() == 52 { format!("sha256:{stem}").parse().ok() } else { None };
        valid.then(|| Self { file_name: file.to_owned(), file_hash, path_hash: stem.parse().ok(), compression })
    }
}

/// A log is named by the derivation. A `?` in that name arrives as the start of a query, since Nix does not escape it.
fn log_name(name: &str, query: Option<&str>) -> Option<String> {
    let glued = query.and_then(|query| Some(format!("{name}?{}", decode(query)?)));
    let valid = |name: &String| name.parse::<StorePath>().is_ok();
    glued.filter(valid).or_else(|| Some(name.to_owned()).filter(valid))
}

fn is_output_name(name: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b'?' | b'=');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(valid) && !name.starts_with('.')
}

/// Undoes percent encoding, once; what is no text, or hides a separator, names nothing.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    let malformed = segment
        .split('%')
        .skip(1)
        .any(|rest| !rest.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())));
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!malformed && !text.contains(['/', '\0'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0c5b8vw40dy178xlpddw65q9gf1h2186";

    fn target(path: &str) -> Option<Target> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        Address::parse(path, query).map(|address| address.target)
    }

    #[test]
    fn caches_and_the_root() {
        let narinfo = Target::NarInfo(HASH.parse().unwrap());
        let cache = |path: &str| Address::parse(path, None).map(|a| a.cache.map(|c| c.to_string()));
        assert_eq!(cache(&format!("/main/{HASH}.narinfo")), Some(Some("main".into())));
        assert_eq!(cache(&format!("/{HASH}.narinfo")), Some(None));
        assert_eq!(cache("/nar/abc.nar"), Some(None));
        assert_eq!(cache("/main/nar/abc.nar"), Some(Some("main".into())));
        assert_eq!(target(&format!("/main/{HASH}.narinfo?x=y")), Some(narinfo));
        for nothing in [
            "",
            "/",
            "//",
            "/main",
            "/main/",
            "/main/x.narinfo",
            "/a b/nix-cache-info",
            "/main/../etc/passwd",
            "/main/nar/..%2fx.nar",
        ] {
            assert_eq!(target(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        let id = format!("sha256:{}!out", "ab".repeat(32));
        let doi = Some(Target::Document(DocumentKind::Realisation, id.clone()));
        assert_eq!(target(&format!("/c/realisations/{id}.doi")), doi);
        assert_eq!(target(&format!("/c/realisations/{}.doi", id.replace('!', "%21").replace(':', "%3A"))), doi);
        assert_eq!(target(&format!("/c/realisations/{}.doi", id.replace('!', "%2521"))), None);
        assert_eq!(target("/c/%zz.narinfo"), None);
        assert_eq!(target("/c/%00.narinfo"), None);
        assert_eq!(target("/c/log/%ff"), None);
    }

    #[test]
    fn a_question_mark_in_a_log_comes_as_a_query() {
        let name = format!("{HASH}-x?=y.drv");
        let log = Some(Target::Document(DocumentKind::Log, name.clone()));
        assert_eq!(target(&format!("/c/log/{name}")), log);
        assert_eq!(target(&format!("/c/log/{}", name.replace('?', "%3f"))), log);
    }

    #[test]
    fn nar_names() {
        let hash = "1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0";
        let Some(Target::Nar(name)) = target(&format!("/c/nar/{hash}.nar.zst")) else { panic!() };
        assert_eq!((name.file_hash.map(|h| h.nix32()), name.compression), (Some(hash.into()), Compression::Zstd));
        let Some(Target::Nar(name)) = target(&format!("/c/nar/{HASH}.nar")) else { panic!() };
        assert_eq!((name.path_hash.map(|h| h.to_string()), name.compression), (Some(HASH.into()), Compression::None));
        assert_eq!(target("/c/nar/x.tar"), None);
        assert_eq!(target("/c/nar/x.nar.lz4"), None);
    }
}
