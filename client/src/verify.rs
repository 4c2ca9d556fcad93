//! Looks again, from outside, at what is served: the narinfo, who has signed it, and every byte of the NAR.

use std::io::{self, Write};

use formats::{Compression, FileHash, KeyName, NarHash, NarInfo, PublicKey, StoreDir, StorePath};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::{Api, ApiError};

/// What a path was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The path.
    pub path: StorePath,
    /// The hash that its NAR has to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nar_hash: Option<NarHash>,
    /// How long the NAR is that came.
    pub nar_size: u64,
    /// Which of the keys have signed it.
    pub signed_by: Vec<KeyName>,
    /// What is wrong; nothing if all is well.
    pub problems: Vec<Problem>,
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Problem {
    /// Nobody has it there.
    #[error("it is not there")]
    Missing,
    /// Its narinfo is none.
    #[error("its narinfo cannot be read: {why}")]
    NarInfo {
        /// Why not.
        why: String,
    },
    /// None of the keys has signed it.
    #[error("none of the trusted keys has signed it")]
    Unsigned,
    /// It is another NAR than was promoted.
    #[error("its NAR hash is {served}, and {expected} was promoted")]
    OtherNar {
        /// What the narinfo says.
        served: NarHash,
        /// What it should say.
        expected: NarHash,
    },
    /// It refers to something that is not part of what was promoted.
    #[error("it refers to {reference}, which is not in the closure")]
    Open {
        /// To what.
        reference: StorePath,
    },
    /// It is compressed by something else than zstd.
    #[error("it is compressed with {compression}, which cannot be undone here")]
    Compression {
        /// By what.
        compression: String,
    },
    /// The file that came is not the one that the narinfo names.
    #[error("the file has the hash {found}, and the narinfo says {expected}")]
    File {
        /// Of what came.
        found: FileHash,
        /// By the narinfo.
        expected: FileHash,
    },
    /// The file that came cannot be decompressed.
    #[error("what came is damaged: {why}")]
    Damaged {
        /// How that was seen.
        why: String,
    },
    /// The NAR that came is not the one that the narinfo names.
    #[error("the NAR that came has the hash {found}, and the narinfo says {expected}")]
    Nar {
        /// Of what came.
        found: NarHash,
        /// By the narinfo.
        expected: NarHash,
    },
}

/// Fetches a path from `place`, a cache or a view, and checks it: one of `keys` must have signed it, and its bytes must be those that
/// were signed; those that are `expected`, if anything is.
///
/// # Errors
/// If it cannot be fetched, which says nothing about it.
pub async fn verify(
    api: &Api,
    place: &str,
    store_dir: &StoreDir,
    path: &StorePath,
    keys: &[PublicKey],
    expected: Option<NarHash>,
) -> Result<Checked, ApiError> {
    let mut checked =
        Checked { path: path.clone(), nar_hash: expected, nar_size: 0, signed_by: Vec::new(), problems: Vec::new() };
    let Some(text) = api.narinfo(place, path.hash()).await? else {
        checked.problems.push(Problem::Missing);
        return Ok(checked);
    };
    let narinfo = match NarInfo::parse(store_dir, &text) {
        Ok(narinfo) if narinfo.info.path == *path => narinfo,
        Ok(narinfo) => {
            checked.problems.push(Problem::NarInfo { why: format!("it is that of {}", narinfo.info.path) });
            return Ok(checked);
        }
        Err(error) => {
            checked.problems.push(Problem::NarInfo { why: error.to_string() });
            return Ok(checked);
        }
    };
    let info = &narinfo.info;
    let fingerprint = info.fingerprint(store_dir);
    let signed = info.signatures.iter().filter(|signature| keys.iter().any(|key| key.verify(&fingerprint, signature)));
    checked.signed_by = signed.map(|signature| signature.key_name().clone()).collect();
    if checked.signed_by.is_empty() {
        checked.problems.push(Problem::Unsigned);
    }
    match expected {
        Some(expected) if expected != info.nar_hash => {
            checked.problems.push(Problem::OtherNar { served: info.nar_hash, expected });
        }
        _ => checked.nar_hash = Some(info.nar_hash),
    }
    let (nar_size, problem) = bytes(api, place, &narinfo).await?;
    checked.nar_size = nar_size;
    checked.problems.extend(problem);
    Ok(checked)
}

/// Fetches the NAR, and says how long it is and what is wrong with it.
async fn bytes(api: &Api, place: &str, narinfo: &NarInfo) -> Result<(u64, Option<Problem>), ApiError> {
    let damaged = |error: io::Error| Problem::Damaged { why: error.to_string() };
    let hashing = Hashing { hasher: Sha256::new(), length: 0, most: narinfo.info.nar_size };
    let mut sink = match narinfo.compression {
        Compression::None => Sink::Plain(hashing),
        Compression::Zstd => match zstd::stream::write::Decoder::new(hashing) {
            Ok(decoder) => Sink::Zstd(Box::new(decoder)),
            Err(error) => return Ok((0, Some(damaged(error)))),
        },
        other => return Ok((0, Some(Problem::Compression { compression: other.to_string() }))),
    };
    let (mut file, mut failed) = (Sha256::new(), None);
    let take = |piece: bytes::Bytes| {
        file.update(&piece);
        failed = sink.write_all(&piece).err();
        failed.is_none()
    };
    match api.download(place, &narinfo.url, take).await {
        Ok(()) => {}
        // The narinfo promised it.
        Err(ApiError::Refused(refusal)) if refusal.status == reqwest::StatusCode::NOT_FOUND => {
            return Ok((0, Some(Problem::Missing)));
        }
        Err(error) => return Err(error),
    }
    if let Some(error) = failed {
        return Ok((sink.hashing().length, Some(damaged(error))));
    }
    if let Err(error) = sink.flush() {
        return Ok((sink.hashing().length, Some(damaged(error))));
    }
    let Hashing { hasher, length, .. } = sink.into_hashing();
    let (found, expected) = (NarHash::from_bytes(hasher.finalize().into()), narinfo.info.nar_hash);
    if found != expected || length != narinfo.info.nar_size {
        return Ok((length, Some(Problem::Nar { found, expected })));
    }
    let found = FileHash::from_bytes(file.finalize().into());
    let problem = narinfo.file_hash.filter(|expected| *expected != found);
    Ok((length, problem.map(|expected| Problem::File { found, expected })))
}

/// Undoes the compression of what is written to it.
enum Sink {
    Plain(Hashing),
    Zstd(Box<zstd::stream::write::Decoder<'static, Hashing>>),
}

impl Sink {
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(hashing) => hashing.write_all(piece),
            Self::Zstd(decoder) => decoder.write_all(piece),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(hashing) => hashing.flush(),
            Self::Zstd(decoder) => decoder.flush(),
        }
    }

    fn hashing(&self) -> &Hashing {
        match self {
            Self::Plain(hashing) => hashing,
            Self::Zstd(decoder) => decoder.get_ref(),
        }
    }

    fn into_hashing(self) -> Hashing {
        match self {
            Self::Plain(hashing) => hashing,
            Self::Zstd(decoder) => decoder.into_inner(),
        }
    }
}

/// Hashes what is written to it, and takes no more than was announced.
struct Hashing {
    hasher: Sha256,
    length: u64,
    most: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        if self.length > self.most {
            return Err(io::Error::other("it is longer than the narinfo says"));
        }
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
