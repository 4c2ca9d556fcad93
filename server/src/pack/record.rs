//! The records of a pack's trailer.

use database::NewChunk;
use formats::{FileHash, NarHash};
use protocol::{ChunkHash, Manifest, read_varint, write_varint};
use serde::{Deserialize, Serialize};

use super::PackError;

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

impl Record {
    /// Appends the record.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
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
                NAR
            }
            Self::Path(path) => {
                payload = serde_json::to_vec(path).unwrap_or_default();
                PATH
            }
            Self::Document(document) => {
                write_bytes(&mut payload, &serde_json::to_vec(&document.about).unwrap_or_default());
                write_bytes(&mut payload, &document.manifest.encode());
                DOCUMENT
            }
        };
        out.push(kind);
        write_bytes(out, &payload);
    }

    /// Takes a record from the front of `input`; a frame begins at `offset`, which moves on. `None` is a kind not known here.
    pub(super) fn decode(input: &mut &[u8], offset: &mut u64) -> Result<Option<Self>, PackError> {
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
                Self::Nar(NarRecord {
                    nar_hash: NarHash::from_bytes(read_array(payload).ok_or(CUT)?),
                    nar_size: read_varint(payload).ok_or(CUT)?,
                    file_hash: FileHash::from_bytes(read_array(payload).ok_or(CUT)?),
                    file_size: read_varint(payload).ok_or(CUT)?,
                    manifest: manifest(read_bytes(payload).ok_or(CUT)?)?,
                    listing: match read_bytes(payload).ok_or(CUT)? {
                        [] => None,
                        bytes => Some(manifest(bytes)?),
                    },
                })
            }
            PATH => Self::Path(serde_json::from_slice(payload).map_err(|_| PackError::Malformed("a path"))?),
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
mod tests {
    use protocol::ManifestEntry;

    use super::*;

    fn manifest(n: u8) -> Manifest {
        Manifest((0..n).map(|i| ManifestEntry { hash: ChunkHash([i; 32]), size: u32::from(i) * 1000 }).collect())
    }

    fn samples() -> Vec<Record> {
        vec![
            Record::Nar(NarRecord {
                nar_hash: NarHash::from_bytes([1; 32]),
                nar_size: u64::MAX,
                file_hash: FileHash::from_bytes([2; 32]),
                file_size: 77,
                manifest: manifest(9),
                listing: None,
            }),
            Record::Path(PathRecord {
                cache: "main".into(),
                store_dir: "/nix/store".into(),
                path: "x".into(),
                nar_hash: "sha256:0".into(),
                nar_size: 5,
                references: vec!["a".into(), "b".into()],
                deriver: None,
                signatures: vec![],
                ca: None,
                extra: vec![("K".into(), "v".into())],
                pushed_by: Some("ci".into()),
                at: 1,
            }),
            Record::Document(DocumentRecord {
                about: DocumentAbout { cache: "main".into(), kind: "log".into(), name: "x.drv".into(), at: 3 },
                manifest: manifest(1),
            }),
        ]
    }

    #[test]
    fn records_come_back_and_later_ones_are_skipped() {
        let mut bytes = Vec::new();
        for record in samples() {
            record.encode(&mut bytes);
            bytes.extend_from_slice(&[200, 3, 1, 2, 3]);
        }
        let (mut input, mut offset, mut read) = (&bytes[..], 8, Vec::new());
        while !input.is_empty() {
            read.extend(Record::decode(&mut input, &mut offset).unwrap());
        }
        assert_eq!(read, samples());
    }

    #[test]
    fn a_cut_record_is_an_error() {
        for record in samples() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for length in 0..bytes.len() {
                assert!(Record::decode(&mut &bytes[..length], &mut 8).is_err(), "{length}");
            }
        }
    }
}
