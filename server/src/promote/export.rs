//! What leaves the house with a promoted, public revision: its manifest, signed provenance, and a bill of materials.

use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use database::Claim;
use formats::{SecretKey, StorePath};
use protocol::{
    CacheName, Timestamp,
    promotion::{Envelope, PromotionManifest, Report, Revision, STATEMENT_PAYLOAD, TagName},
};
use serde_json::{Value, json};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PROVENANCE_TYPE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TYPE: &str = "urn:flywheel-cache:build-type:nix-derivation:v1";

/// A claim with what was found of it.
#[derive(Debug)]
pub struct Member {
    /// The claim.
    pub claim: Claim,
    /// What was found.
    pub report: Report,
    /// Of which closure.
    pub manifest: PromotionManifest,
}

/// The closures of all claims as one.
#[must_use]
pub fn manifest(members: &[Member]) -> Option<PromotionManifest> {
    let mut all = members.first()?.manifest.clone();
    for member in &members[1..] {
        all.roots.extend(member.manifest.roots.iter().cloned());
        all.paths.extend(member.manifest.paths.iter().cloned());
    }
    all.paths.sort_by(|a, b| a.path.cmp(&b.path));
    all.paths.dedup_by(|a, b| a.path == b.path);
    Some(all)
}

/// The provenance of one claim, as an in-toto statement with SLSA's predicate.
#[must_use]
pub fn statement(cache: &CacheName, tag: &TagName, revision: &Revision, member: &Member) -> Value {
    let Member { claim, report, manifest } = member;
    let subject: Vec<Value> = manifest
        .paths
        .iter()
        .filter(|path| manifest.roots.contains(&path.path))
        .map(|path| {
            let name = manifest.store_dir.join(&path.path);
            json!({ "name": name, "digest": { "sha256": HEXLOWER.encode(path.nar_hash.as_bytes()) } })
        })
        .collect();
    let source = claim.claim.source.as_ref();
    let mut dependencies: Vec<Value> = source.iter().map(|source| dependency(&source.url, &source.locked)).collect();
    let nodes = source.and_then(|source| source.locks.get("nodes")).and_then(Value::as_object);
    let root = source.and_then(|source| source.locks.get("root")).and_then(Value::as_str).unwrap_or("root");
    for (name, node) in nodes.into_iter().flatten().filter(|(name, _)| *name != root) {
        if let Some(locked) = node.get("locked") {
            dependencies.push(dependency(&format!("flake-input:{}", in_uri(name)), locked));
        }
    }
    let derivation = format!("file://{}", in_uri(&manifest.store_dir.join(&claim.claim.derivation)));
    dependencies.push(json!({ "uri": derivation, "name": "derivation" }));
    json!({
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": PROVENANCE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "flake": source.map(|source| &source.url),
                    "attribute": claim.claim.attribute,
                    "system": claim.claim.system,
                },
                "internalParameters": {
                    "cache": cache,
                    "tag": tag,
                    "revision": revision.number,
                    "promotedBy": revision.moved_by,
                    "policy": {
                        "version": report.policy_version,
                        "digest": { "sha256": report.policy_digest.hex() },
                    },
                    "manifest": { "sha256": report.manifest_digest.hex() },
                    "predicates": report.findings.iter().map(|f| json!({ "id": f.predicate, "outcome": f.outcome }))
                        .collect::<Vec<_>>(),
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": format!("urn:flywheel-cache:builder:{}", in_uri(&claim.builder.subject)),
                    "version": { "nix": claim.claim.evaluation.nix },
                },
                "metadata": {
                    "invocationId": format!("claim-{}", claim.id.0),
                    "finishedOn": date(claim.filed_at),
                },
            },
        },
    })
}

/// A text as part of a URI, whatever is in it.
fn in_uri(text: &str) -> String {
    let mut uri = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'@' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn dependency(uri: &str, locked: &Value) -> Value {
    let text = |name: &str| locked.get(name).and_then(Value::as_str);
    let mut digest = serde_json::Map::new();
    if let Some(revision) = text("rev") {
        digest.insert("gitCommit".to_owned(), json!(revision));
    }
    if let Some(hash) = text("narHash").and_then(|hash| hash.parse::<formats::Hash>().ok()) {
        digest.insert("sha256".to_owned(), json!(HEXLOWER.encode(hash.digest())));
    }
    json!({ "uri": uri, "digest": digest })
}

/// Provenance, sealed: one envelope for each claim.
///
/// # Errors
/// Never in fact: every part has a JSON form.
pub fn provenance(
    cache: &CacheName,
    tag: &TagName,
    revision: &Revision,
    members: &[Member],
    key: &SecretKey,
) -> Result<Vec<Envelope>, serde_json::Error> {
    let sealed = members.iter().map(|member| {
        let statement = serde_json::to_string(&statement(cache, tag, revision, member))?;
        Ok(Envelope::seal(STATEMENT_PAYLOAD, &statement, key))
    });
    sealed.collect()
}

/// The bill of materials, as SPDX 2.3.
#[must_use]
pub fn sbom(cache: &CacheName, tag: &TagName, revision: &Revision, manifest: &PromotionManifest) -> Value {
    let id = |path: &StorePath| format!("SPDXRef-{}", path.hash());
    let packages: Vec<Value> = manifest
        .paths
        .iter()
        .map(|path| {
            let (name, version) = name_and_version(path.path.name().as_str());
            let mut package = json!({
                "SPDXID": id(&path.path),
                "name": name,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": false,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "checksums": [{
                    "algorithm": "SHA256",
                    "checksumValue": HEXLOWER.encode(path.nar_hash.as_bytes()),
                }],
                "comment": format!("{}; the checksum is that of its NAR", manifest.store_dir.join(&path.path)),
            });
            if let (Some(version), Some(fields)) = (version, package.as_object_mut()) {
                fields.insert("versionInfo".to_owned(), json!(version));
            }
            package
        })
        .collect();
    let related = |from: String, kind: &str, to: &StorePath| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": id(to) });
    let described = manifest.roots.iter().map(|root| related("SPDXRef-DOCUMENT".to_owned(), "DESCRIBES", root));
    let depends = manifest.paths.iter().flat_map(|path| {
        let others = path.references.iter().filter(|other| **other != path.path);
        others.map(|other| related(id(&path.path), "DEPENDS_ON", other))
    });
    let name = format!("{cache}@{tag}-{}", revision.number);
    // Of which closure: the same number may be given again by another server of that name.
    let digest = manifest.digest().map(|digest| digest.hex()).unwrap_or_default();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:flywheel-cache:sbom:{name}:{digest}"),
        "creationInfo": {
            "created": date(revision.at),
            "creators": [concat!("Tool: flywheel-cache-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": described.chain(depends).collect::<Vec<_>>(),
    })
}

/// Nix's rule: the version begins at the first dash before something that is no letter.
fn name_and_version(name: &str) -> (&str, Option<&str>) {
    let starts = |at: &usize| name.as_bytes().get(at + 1).is_some_and(|byte| !byte.is_ascii_alphabetic());
    match name.match_indices('-').map(|(at, _)| at).find(starts) {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    }
}

/// As RFC 3339 writes it.
pub(crate) fn date(at: Timestamp) -> String {
    let since = Duration::from_secs(u64::try_from(at.0).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod schema_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_begin_where_nix_thinks() {
        assert_eq!(name_and_version("hello-2.12.1"), ("hello", Some("2.12.1")));
        assert_eq!(name_and_version("gcc-wrapper-13.2.0-lib"), ("gcc-wrapper", Some("13.2.0-lib")));
        assert_eq!(name_and_version("top"), ("top", None));
        assert_eq!(date(Timestamp(0)), "1970-01-01T00:00:00Z");
    }
}
