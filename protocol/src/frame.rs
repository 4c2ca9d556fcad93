//! How a chunk becomes a frame: zstd, with tables that stay in a core's own cache.

use std::io;

use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// The level that is tuned, zstd's default.
const TUNED_LEVEL: i32 = 3;
/// Binary logarithms of the entries of its two tables, four bytes each: together 384 KiB instead of zstd's 768, so that they stay in a
/// second-level cache of 512 KiB or 1 MiB while other work goes on beside them.
const LONG_TABLE: u32 = 16;
const SHORT_TABLE: u32 = 15;

/// A compressor that makes frames of zstd's `level`.
///
/// Level 3 has smaller tables than zstd gives it. On the chunks of a push that is a fifth more bytes a second for one byte more in a
/// hundred (docs/performance.md). Frames are read the same way whatever made them.
///
/// # Errors
/// If zstd has no memory.
pub fn frame_compressor(level: i32) -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    if level == TUNED_LEVEL {
        compressor.set_parameter(CParameter::HashLog(LONG_TABLE))?;
        compressor.set_parameter(CParameter::ChainLog(SHORT_TABLE))?;
    }
    Ok(compressor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text with repeats near and far.
    fn text() -> Vec<u8> {
        (0..200_000_u32)
            .flat_map(|n| format!("{} {} ", n.wrapping_mul(2_654_435_761) >> 20, n % 977).into_bytes())
            .collect()
    }

    #[test]
    fn what_is_made_is_one_frame_that_says_its_size() {
        for level in [1, 3, 8] {
            let frame = frame_compressor(level).unwrap().compress(&text()).unwrap();
            assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&frame), Ok(frame.len()));
            assert_eq!(zstd::zstd_safe::get_frame_content_size(&frame).unwrap(), Some(text().len() as u64));
            assert_eq!(zstd::bulk::decompress(&frame, text().len()).unwrap(), text());
        }
    }

    #[test]
    fn small_tables_cost_few_bytes() {
        let plain = Compressor::new(3).unwrap().compress(&text()).unwrap().len();
        let tuned = frame_compressor(3).unwrap().compress(&text()).unwrap().len();
        assert_ne!(plain, tuned, "the tables are zstd's own");
        assert!(tuned < plain + plain / 20, "{plain} bytes became {tuned}");
    }
}
