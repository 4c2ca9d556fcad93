//! The tail of a pack: all that is read of it, unless frames are verified.

use storage::{Key, Storage};

use crate::{
    fetch::is_damage,
    pack::{FOOTER_BYTES, Footer, MAGIC, PackError, Record},
};

/// How much is read at first: the trailer of all but the largest packs.
const TAIL_BYTES: u64 = 64 << 10;
/// The most that a trailer may have, compressed.
const MAX_TRAILER_BYTES: u64 = 256 << 20;

/// Why a pack cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    /// It is not what it should be.
    #[error(transparent)]
    Damaged(#[from] PackError),
    /// It is gone or cut off.
    #[error("it is gone or cut off")]
    Gone,
    /// The storage is away, which says nothing of the pack.
    #[error(transparent)]
    Storage(storage::Error),
}

impl From<storage::Error> for TailError {
    fn from(error: storage::Error) -> Self {
        if is_damage(&error) { Self::Gone } else { Self::Storage(error) }
    }
}

/// The records of a pack of `size` bytes.
pub(super) async fn read(storage: &dyn Storage, key: &Key, size: u64) -> Result<Vec<Record>, TailError> {
    let footer_bytes = FOOTER_BYTES as u64;
    if size < MAGIC.len() as u64 + footer_bytes {
        return Err(PackError::NotAPack.into());
    }
    let tail_begins = size.saturating_sub(TAIL_BYTES);
    let tail = storage.read(key, tail_begins..size).await?;
    let footer = Footer::decode(&tail[tail.len() - FOOTER_BYTES..])?;
    let length = u64::from(footer.length);
    // Compared before anything is allocated.
    if footer.offset.checked_add(length + footer_bytes) != Some(size) || length > MAX_TRAILER_BYTES {
        return Err(PackError::NotAPack.into());
    }
    let trailer = match footer.offset.checked_sub(tail_begins) {
        Some(_) => tail.slice(tail.len() - FOOTER_BYTES - footer.length as usize..tail.len() - FOOTER_BYTES),
        None => storage.read(key, footer.offset..footer.offset + length).await?,
    };
    let records = tokio::task::spawn_blocking(move || footer.records(&trailer)).await;
    Ok(records.unwrap_or(Err(PackError::Malformed("it cannot be decoded")))?)
}
