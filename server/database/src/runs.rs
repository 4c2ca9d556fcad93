//! Chunk runs: a manifest as the index keeps it.

use protocol::{read_varint, write_varint};

use crate::ChunkId;

/// The version that [`ChunkRuns::encode`] writes.
const VERSION: u8 = 1;

/// The chunks of a NAR in order, as runs of neighbouring rows.
///
/// New chunks get ascending ids, so a NAR seen for the first time is one run however many chunks it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkRuns(Vec<(i64, u32)>);

/// Bytes that are no chunk runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunk runs")]
pub struct RunsError;

impl ChunkRuns {
    /// The runs: first id and length of each.
    #[must_use]
    pub fn runs(&self) -> &[(i64, u32)] {
        &self.0
    }

    /// How many chunks there are.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.0.iter().map(|&(_, length)| length as usize).sum()
    }

    /// The ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = ChunkId> {
        self.0.iter().flat_map(|&(first, length)| (0..i64::from(length)).map(move |i| ChunkId(first + i)))
    }

    /// The version byte, then for each run the step from the end of the last one (zigzag) and its length; varints.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut expected = 0_i64;
        for &(first, length) in &self.0 {
            let step = first.wrapping_sub(expected);
            write_varint(&mut out, ((step << 1) ^ (step >> 63)).cast_unsigned());
            write_varint(&mut out, u64::from(length));
            expected = first.wrapping_add(i64::from(length));
        }
        out
    }

    /// Reads what [`ChunkRuns::encode`] wrote.
    ///
    /// # Errors
    /// On anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, RunsError> {
        let (&version, mut input) = bytes.split_first().ok_or(RunsError)?;
        if version != VERSION {
            return Err(RunsError);
        }
        let mut runs = Vec::new();
        let mut expected = 0_i64;
        while !input.is_empty() {
            let zigzag = read_varint(&mut input).ok_or(RunsError)?;
            let step = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
            let first = expected.checked_add(step).filter(|&id| id >= 0).ok_or(RunsError)?;
            let length =
                read_varint(&mut input).and_then(|n| u32::try_from(n).ok()).filter(|&n| n > 0).ok_or(RunsError)?;
            expected = first.checked_add(i64::from(length)).ok_or(RunsError)?;
            runs.push((first, length));
        }
        Ok(Self(runs))
    }
}

impl FromIterator<ChunkId> for ChunkRuns {
    fn from_iter<I: IntoIterator<Item = ChunkId>>(ids: I) -> Self {
        let mut runs: Vec<(i64, u32)> = Vec::new();
        for ChunkId(id) in ids {
            match runs.last_mut() {
                Some((first, length)) if *first + i64::from(*length) == id && *length < u32::MAX => *length += 1,
                _ => runs.push((id, 1)),
            }
        }
        Self(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_runs() {
        let ids = [5, 6, 7, 2, 3, 9, 9, 10];
        let runs: ChunkRuns = ids.into_iter().map(ChunkId).collect();
        assert_eq!(runs.runs(), [(5, 3), (2, 2), (9, 1), (9, 2)]);
        assert_eq!(runs.ids().map(|c| c.0).collect::<Vec<_>>(), ids);
        assert_eq!(runs.chunk_count(), 8);
        assert_eq!(ChunkRuns::decode(&runs.encode()), Ok(runs));
    }

    #[test]
    fn malformed_runs_are_refused() {
        for bad in [&[][..], &[2], &[1, 0], &[1, 0, 0], &[1, 1, 1], &[1, 0x80]] {
            assert_eq!(ChunkRuns::decode(bad), Err(RunsError), "{bad:?}");
        }
    }
}
