//! The records of a pack's trailer.

mod event;
mod promotion;

use database::NewChunk;
use formats::{FileHash, NarHash};
use protocol::{ChunkHash, Manifest, read_varint, write_varint};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{PackError, Stamp};

pub use event::{CacheRecord, CacheState, DamageRecord, KeptOutRecord, KeyRecord, PinRecord, Removal, Revocation};
pub use promotion::PromotionRecord;

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A frame of this pack.
    Chunk(NewChunk),
    /// A NAR.
    Nar(NarRecord),
    /// A path of a cache.
    Path(PathRecord),
    /// A document of a cache.
    Document(DocumentRecord),
    /// When the records that follow became true, up to the next such record.
    Stamp(Stamp),
    /// A cache, with its settings and keys.
    Cache(CacheRecord),
    /// Something that is gone.
    Removal(Removal),
    /// A path that stayed out.
    KeptOut(KeptOutRecord),
    /// A frame that is damaged.
    Damage(DamageRecord),
    /// Something about promotion.
    Promotion(PromotionRecord),
    /// Tokens that are not good any more.
    Revocation(Revocation),
}

/// A NAR, its chunks by name: they may be in other packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarRecord {
    /// SHA-256 of the NAR.
    pub nar_hash: NarHash,
    /// Its size in bytes.
    pub nar_size: u64,
    /// SHA-256 of what is served.
    pub file_hash: FileHash,
    /// Its length in bytes.
    pub file_size: u64,
    /// Its chunks.
    pub manifest: Manifest,
    /// The chunks of its listing.
    pub listing: Option<Manifest>,
    /// Of which very bytes the file hash is: CRC-32C of the frame of each chunk of the manifest. Packs may have several frames of one
    /// chunk. None in records from before there were such sums.
    pub checks: Option<Vec<u32>>,
    /// When it came, in seconds since 1970; none in records from before that was written down.
    pub at: Option<i64>,
}

/// A path of a cache, every field in Nix's own spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRecord {
    /// The name of the cache.
    pub cache: String,
    /// The store dir.
    pub store_dir: String,
    /// The base name of the path.
    pub path: String,
    /// Its NAR hash.
    pub nar_hash: String,
    /// Its NAR size in bytes.
    pub nar_size: u64,
    /// The base names of its references.
    pub references: Vec<String>,
    /// The base name of its deriver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deriver: Option<String>,
    /// Its signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
    /// Its content address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Further keys of its narinfo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(String, String)>,
    /// Who pushed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<String>,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// A document of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRecord {
    /// What it is.
    pub about: DocumentAbout,
    /// Its chunks.
    pub manifest: Manifest,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentAbout {
    /// The name of the cache.
    pub cache: String,
    /// Its kind, as the index spells it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// When it came, in seconds since 1970.
    pub at: i64,
}

const CHUNK: u8 = 1;
const NAR: u8 = 2;
const PATH: u8 = 3;
const DOCUMENT: u8 = 4;
const STAMP: u8 = 5;
const CACHE: u8 = 6;
const REMOVAL: u8 = 7;
const KEPT_OUT: u8 = 8;
const DAMAGE: u8 = 9;
const PROMOTION: u8 = 16;
const REVOCATION: u8 = 17;

impl Record {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        let kind = match self {
            Self::Chunk(chunk) => {
                payload.extend_from_slice(chunk.hash.as_bytes());
                write_varint(&mut payload, u64::from(chunk.stored_size));
                write_varint(&mut payload, u64::from(chunk.size));
                payload.extend_from_slice(&chunk.check.to_le_bytes());
                CHUNK
            }
            Self::Nar(nar) => {
                payload.extend_from_slice(nar.nar_hash.as_bytes());
                write_varint(&mut payload, nar.nar_size);
                payload.extend_from_slice(nar.file_hash.as_bytes());
                write_varint(&mut payload, nar.file_size);
                write_bytes(&mut payload, &nar.manifest.encode());
                write_bytes(&mut payload, &nar.listing.as_ref().map(Manifest::encode).unwrap_or_default());
                if let Some(at) = nar.at {
                    write_varint(&mut payload, u64::try_from(at).unwrap_or(0));
                    let checks = nar.checks.as_deref().unwrap_or_default();
                    write_bytes(&mut payload, &checks.iter().flat_map(|check| check.to_le_bytes()).collect::<Vec<_>>());
                }
                NAR
            }
            Self::Path(path) => {
                payload = json(path);
                PATH
            }
            Self::Document(document) => {
                write_bytes(&mut payload, &json(&document.about));
                write_bytes(&mut payload, &document.manifest.encode());
                DOCUMENT
            }
            Self::Stamp(stamp) => {
                write_varint(&mut payload, stamp.0);
                STAMP
            }
            Self::Cache(cache) => {
                payload = json(cache);
                CACHE
            }
            Self::Removal(removal) => {
                payload = json(removal);
                REMOVAL
            }
            Self::KeptOut(kept_out) => {
                payload = json(kept_out);
                KEPT_OUT
            }
            Self::Damage(damage) => {
                payload = json(damage);
                DAMAGE
            }
            Self::Promotion(promotion) => {
                payload = json(promotion);
                PROMOTION
            }
            Self::Revocation(revocation) => {
                payload = json(revocation);
                REVOCATION
            }
        };
        out.push(kind);
        write_bytes(out, &payload);
    }

    /// Takes a record from the front of `input`; a frame begins at `offset`, which moves on. `None` is a kind not known here.
    pub(crate) fn decode(input: &mut &[u8], offset: &mut u64) -> Result<Option<Self>, PackError> {
        const CUT: PackError = PackError::Malformed("a record is cut off");
        let (&kind, rest) = input.split_first().ok_or(CUT)?;
        *input = rest;
        let mut payload = read_bytes(input).ok_or(CUT)?;
        let payload = &mut payload;
        Ok(Some(match kind {
            CHUNK => {
                let hash = ChunkHash(read_array(payload).ok_or(CUT)?);
                let mut number = || read_varint(payload).and_then(|n| u32::try_from(n).ok()).ok_or(CUT);
                let (stored_size, size) = (number()?, number()?);
                let check = u32::from_le_bytes(read_array(payload).ok_or(CUT)?);
                let chunk = NewChunk { hash, offset: *offset, stored_size, size, check, cache: None };
                *offset = offset.checked_add(u64::from(stored_size)).ok_or(CUT)?;
                Self::Chunk(chunk)
            }
            NAR => {
                let manifest = |bytes: &[u8]| Manifest::decode(bytes).map_err(|_| PackError::Malformed("a manifest"));
                let mut nar = NarRecord {
                    nar_hash: NarHash::from_bytes(read_array(payload).ok_or(CUT)?),
                    nar_size: read_varint(payload).ok_or(CUT)?,
                    file_hash: FileHash::from_bytes(read_array(payload).ok_or(CUT)?),
                    file_size: read_varint(payload).ok_or(CUT)?,
                    manifest: manifest(read_bytes(payload).ok_or(CUT)?)?,
                    listing: match read_bytes(payload).ok_or(CUT)? {
                        [] => None,
                        bytes => Some(manifest(bytes)?),
                    },
                    checks: None,
                    at: None,
                };
                if !payload.is_empty() {
                    nar.at = Some(i64::try_from(read_varint(payload).ok_or(CUT)?).map_err(|_| CUT)?);
                    let (checks, rest) = read_bytes(payload).ok_or(CUT)?.as_chunks::<4>();
                    let checks: Vec<u32> = checks.iter().copied().map(u32::from_le_bytes).collect();
                    if !rest.is_empty() || !(checks.is_empty() || checks.len() == nar.manifest.0.len()) {
                        return Err(PackError::Malformed("the frames of a NAR"));
                    }
                    nar.checks = (checks.len() == nar.manifest.0.len()).then_some(checks);
                }
                Self::Nar(nar)
            }
            PATH => Self::Path(of_json(payload, "a path")?),
            STAMP => Self::Stamp(Stamp(read_varint(payload).ok_or(CUT)?)),
            CACHE => Self::Cache(of_json(payload, "a cache")?),
            REMOVAL => Self::Removal(of_json(payload, "a removal")?),
            KEPT_OUT => Self::KeptOut(of_json(payload, "a path that stayed out")?),
            DAMAGE => Self::Damage(of_json(payload, "a damaged frame")?),
            PROMOTION => match serde_json::from_slice(payload) {
                Ok(promotion) => Self::Promotion(promotion),
                // A fact of a kind that is not known here.
                Err(_) => return of_json(payload, "something about promotion").map(|IgnoredAny| None),
            },
            REVOCATION => Self::Revocation(of_json(payload, "a revocation")?),
            DOCUMENT => {
                let about = serde_json::from_slice(read_bytes(payload).ok_or(CUT)?);
                let manifest = Manifest::decode(read_bytes(payload).ok_or(CUT)?);
                let (about, manifest) = about.ok().zip(manifest.ok()).ok_or(PackError::Malformed("a document"))?;
                Self::Document(DocumentRecord { about, manifest })
            }
            _ => return Ok(None),
        }))
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn of_json<'a, T: Deserialize<'a>>(payload: &'a [u8], what: &'static str) -> Result<T, PackError> {
    serde_json::from_slice(payload).map_err(|_| PackError::Malformed(what))
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn read_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(read_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

fn read_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*array)
}

#[cfg(test)]
mod tests;
