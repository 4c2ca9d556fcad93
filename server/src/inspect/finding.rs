//! What can be wrong with a store, one variant for each situation.

use std::fmt::{self, Display};

use database::PackName;
use formats::{NarHash, StorePath};
use serde::{Serialize, Serializer};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Allowed, and good to know.
    Note,
    /// Wrong, but nothing that anybody wants is hurt.
    Waste,
    /// Something that is wanted is hurt, or could not be restored without the index.
    Damage,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Finding {
    /// The index has a pack that the storage has not.
    PackMissing {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
    },
    /// The same, of a pack whose chunks have all been known to be damaged: whatever needed one is in quarantine, or healed.
    PackKnownMissing {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
    },
    /// The object is shorter than the index says.
    PackTooShort {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// By the index, in bytes.
        expected: u64,
        /// In the storage.
        found: u64,
    },
    /// The object is longer than the index says.
    PackTooLong {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// By the index, in bytes.
        expected: u64,
        /// In the storage.
        found: u64,
    },
    /// The object does not begin as a pack does.
    PackBeginning {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
    },
    /// What the pack says of itself cannot be read. Its frames may be whole, and are served.
    PackTrailer {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// What is wrong with it.
        why: String,
    },
    /// The index and the pack's own trailer say different things of a frame.
    PackDisagrees {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// Where the frame begins, in bytes.
        offset: u64,
    },
    /// A frame is not the chunk that it should be.
    FrameDamaged {
        /// The pack.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// Where the frame begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same, of a frame that has been known to be damaged: whatever needed it is in quarantine, or healed.
    FrameKnownDamaged {
        /// The pack.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// Where the frame begins, in bytes.
        offset: u64,
    },
    /// The same, of a frame that no row names.
    FrameUnusedDamaged {
        /// The pack.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// Where the frame begins, in bytes.
        offset: u64,
    },
    /// The storage has a pack that the index has not: left by a crash, or about to be collected.
    PackUnknown {
        /// Which.
        #[serde(serialize_with = "text")]
        pack: PackName,
        /// Its length in bytes.
        size: u64,
    },
    /// An object of records cannot be read, which nobody needs but who makes the index anew.
    RecordsDamaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// An object among the packs that is none.
    ObjectUnknown {
        /// Its key.
        key: String,
        /// Its length in bytes.
        size: u64,
    },
    /// A NAR is hidden, because damage was found before and it has not been pushed again.
    NarQuarantined {
        /// Which.
        #[serde(serialize_with = "text")]
        nar: NarHash,
        /// Some of its paths, each behind its cache.
        paths: Vec<String>,
    },
    /// A NAR cannot be served as it should be.
    NarDamaged {
        /// Which.
        #[serde(serialize_with = "text")]
        nar: NarHash,
        /// What is wrong with it.
        why: String,
        /// Some of its paths, each behind its cache.
        paths: Vec<String>,
    },
    /// The listing of a NAR cannot be served; the NAR can.
    ListingDamaged {
        /// Which.
        #[serde(serialize_with = "text")]
        nar: NarHash,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A document cannot be served.
    DocumentDamaged {
        /// The cache.
        cache: String,
        /// The kind of document.
        document: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A path names a NAR that has no row.
    PathWithoutNar {
        /// The cache.
        cache: String,
        /// Which.
        #[serde(serialize_with = "text")]
        path: StorePath,
    },
    /// A path refers to paths that its cache does not show.
    ReferencesAbsent {
        /// The cache.
        cache: String,
        /// Which.
        #[serde(serialize_with = "text")]
        path: StorePath,
        /// Some of those that are absent.
        references: Vec<String>,
    },
}

fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Finding {
    /// Its stable name, as JSON has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PackMissing { .. } => "pack-missing",
            Self::PackKnownMissing { .. } => "pack-known-missing",
            Self::PackTooShort { .. } => "pack-too-short",
            Self::PackTooLong { .. } => "pack-too-long",
            Self::PackBeginning { .. } => "pack-beginning",
            Self::PackTrailer { .. } => "pack-trailer",
            Self::PackDisagrees { .. } => "pack-disagrees",
            Self::FrameDamaged { .. } => "frame-damaged",
            Self::FrameKnownDamaged { .. } => "frame-known-damaged",
            Self::FrameUnusedDamaged { .. } => "frame-unused-damaged",
            Self::PackUnknown { .. } => "pack-unknown",
            Self::RecordsDamaged { .. } => "records-damaged",
            Self::ObjectUnknown { .. } => "object-unknown",
            Self::NarQuarantined { .. } => "nar-quarantined",
            Self::NarDamaged { .. } => "nar-damaged",
            Self::ListingDamaged { .. } => "listing-damaged",
            Self::DocumentDamaged { .. } => "document-damaged",
            Self::PathWithoutNar { .. } => "path-without-nar",
            Self::ReferencesAbsent { .. } => "references-absent",
        }
    }

    /// How much it matters.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        match self {
            Self::ReferencesAbsent { .. } => Weight::Note,
            Self::PackKnownMissing { .. }
            | Self::FrameKnownDamaged { .. }
            | Self::FrameUnusedDamaged { .. }
            | Self::PackUnknown { .. }
            | Self::ObjectUnknown { .. } => Weight::Waste,
            Self::PackMissing { .. }
            | Self::PackTooShort { .. }
            | Self::PackTooLong { .. }
            | Self::PackBeginning { .. }
            | Self::PackTrailer { .. }
            | Self::PackDisagrees { .. }
            | Self::FrameDamaged { .. }
            | Self::RecordsDamaged { .. }
            | Self::NarQuarantined { .. }
            | Self::NarDamaged { .. }
            | Self::ListingDamaged { .. }
            | Self::DocumentDamaged { .. }
            | Self::PathWithoutNar { .. } => Weight::Damage,
        }
    }

    /// The pack that would have to be written anew, if that is what mends it.
    #[must_use]
    pub const fn rewritable(&self) -> Option<PackName> {
        match self {
            Self::PackTooShort { pack, .. }
            | Self::PackTooLong { pack, .. }
            | Self::PackBeginning { pack }
            | Self::PackTrailer { pack, .. }
            | Self::PackDisagrees { pack, .. } => Some(*pack),
            _ => None,
        }
    }
}

/// One sentence without a full stop.
impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PackMissing { pack } => write!(f, "pack {pack} is not in the storage"),
            Self::PackKnownMissing { pack } => write!(f, "pack {pack} is known not to be in the storage"),
            Self::PackTooShort { pack, expected, found } => {
                write!(f, "pack {pack} is cut off: {found} bytes of {expected}")
            }
            Self::PackTooLong { pack, expected, found } => {
                write!(f, "pack {pack} has grown: {found} bytes, {expected} were written")
            }
            Self::PackBeginning { pack } => write!(f, "pack {pack} does not begin as a pack does"),
            Self::PackTrailer { pack, why } => write!(f, "pack {pack}: {why}"),
            Self::PackDisagrees { pack, offset } => {
                write!(f, "pack {pack}: the index and the pack disagree on the frame at {offset}")
            }
            Self::FrameDamaged { pack, offset, why } => write!(f, "pack {pack}: the frame at {offset} {why}"),
            Self::FrameKnownDamaged { pack, offset } => {
                write!(f, "pack {pack}: the frame at {offset} is known to be damaged")
            }
            Self::FrameUnusedDamaged { pack, offset } => {
                write!(f, "pack {pack}: the frame at {offset}, which nothing needs, is damaged")
            }
            Self::PackUnknown { pack, size } => write!(f, "pack {pack} ({size} bytes) is not in the index"),
            Self::RecordsDamaged { key, why } => write!(f, "the records in {key}: {why}"),
            Self::ObjectUnknown { key, size } => write!(f, "the object {key} ({size} bytes) is no pack"),
            Self::NarQuarantined { nar, paths } => {
                write!(f, "{nar} is in quarantine until it is pushed again")?;
                list(f, paths)
            }
            Self::NarDamaged { nar, why, paths } => {
                write!(f, "{nar} {why}")?;
                list(f, paths)
            }
            Self::ListingDamaged { nar, why } => write!(f, "the listing of {nar} {why}"),
            Self::DocumentDamaged { cache, document, name, why } => {
                write!(f, "the {document} {name} of {cache} {why}")
            }
            Self::PathWithoutNar { cache, path } => write!(f, "{cache}/{path} names a NAR that the index has not"),
            Self::ReferencesAbsent { cache, path, references } => {
                write!(f, "{cache}/{path} refers to what is not there")?;
                list(f, references)
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, things: &[String]) -> fmt::Result {
    if things.is_empty() { Ok(()) } else { write!(f, ": {}", things.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_calls_it_by_its_kind() {
        let pack = PackName([0xab; 16]);
        let nar = NarHash::digest_of(b"");
        for finding in [
            Finding::PackMissing { pack },
            Finding::PackTooShort { pack, expected: 2, found: 1 },
            Finding::FrameKnownDamaged { pack, offset: 8 },
            Finding::NarQuarantined { nar, paths: vec!["main/x".to_owned()] },
            Finding::ObjectUnknown { key: "packs/x".to_owned(), size: 1 },
        ] {
            let json = serde_json::to_value(&finding).unwrap();
            assert_eq!(json["kind"], finding.kind());
        }
        let json = serde_json::to_string(&Finding::PackMissing { pack }).unwrap();
        assert_eq!(json, r#"{"kind":"pack-missing","pack":"abababababababababababababababab"}"#);
    }
}
