//! Reading what the system has in its cache, where waiting is not allowed.
//!
//! Handing a read to another thread and back costs more than copying half a megabyte does: two wake-ups. What was just written or
//! read is in the system's cache, and Linux can be asked for that and nothing else.

use std::{fs::File, io};

/// Fills `body` from `offset` on without waiting for a disk.
///
/// # Errors
/// If something of it is not in the cache, or the system or its file system cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn read(file: &File, body: &mut [u8], offset: u64) -> io::Result<()> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut done = 0;
    while done < body.len() {
        let rest = &mut [io::IoSliceMut::new(&mut body[done..])];
        match preadv2(file, rest, offset + done as u64, ReadWriteFlags::NOWAIT)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => done += length,
        }
    }
    Ok(())
}

/// How far apart the bytes are that are asked for to find out whether all are in the cache: twice what Linux reads ahead.
#[cfg(target_os = "linux")]
const STRIDE: u64 = 256 << 10;

/// Whether the bytes can be sent without waiting for a disk, in all likelihood.
#[cfg(target_os = "linux")]
pub(super) fn holds(file: &File, range: &std::ops::Range<u64>) -> bool {
    let length = range.end.saturating_sub(range.start);
    // In the middle of equal parts: what was dropped in between is no longer than a part.
    let parts = length.div_ceil(STRIDE);
    (0..parts).all(|part| read(file, &mut [0], range.start + length * (2 * part + 1) / (2 * parts)).is_ok())
}

/// Says that it cannot tell.
#[cfg(not(target_os = "linux"))]
pub(super) const fn holds(_: &File, _: &std::ops::Range<u64>) -> bool {
    false
}

/// Says that it cannot tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
