//! `[chunking]`: how NARs are cut.

use protocol::ChunkSizes;
use serde::{Deserialize, Serialize, Serializer};

use super::{ConfigError, Warning};

/// `[chunking]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking(pub ChunkSizes);

/// `[chunking]` as it is written; what is absent is as in [`ChunkSizes::default`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct ChunkingFile {
    nar_size_threshold: Option<u32>,
    min_size: Option<u32>,
    avg_size: Option<u32>,
    max_size: Option<u32>,
}

impl From<ChunkSizes> for ChunkingFile {
    fn from(sizes: ChunkSizes) -> Self {
        let size = |bytes: usize| u32::try_from(bytes).ok();
        Self {
            nar_size_threshold: size(sizes.nar_size_threshold()),
            min_size: size(sizes.min_size()),
            avg_size: size(sizes.avg_size()),
            max_size: size(sizes.max_size()),
        }
    }
}

impl ChunkingFile {
    /// Takes what Attic takes, changed as little as our cutter needs.
    pub(super) fn complete(self, warnings: &mut Vec<Warning>) -> Result<Chunking, ConfigError> {
        let default = Self::from(ChunkSizes::default());
        let mut even = |key, given: Option<u32>, default: Option<u32>| {
            let given = given.or(default).unwrap_or_default();
            let used = given & !1;
            if used != given {
                warnings.push(Warning::OddSize { key, given, used });
            }
            used
        };
        let min_size = even("min-size", self.min_size, default.min_size);
        let avg_size = even("avg-size", self.avg_size, default.avg_size);
        let max_size = even("max-size", self.max_size, default.max_size);
        let given = self.nar_size_threshold.or(default.nar_size_threshold).unwrap_or_default();
        let used = given.min(max_size);
        if given == 0 {
            warnings.push(Warning::NoThreshold);
        } else if used != given && self.nar_size_threshold.is_some() {
            warnings.push(Warning::Threshold { given, used });
        }
        ChunkSizes::new(used, min_size, avg_size, max_size).map(Chunking).map_err(ConfigError::Chunking)
    }
}

impl Serialize for Chunking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ChunkingFile::from(self.0).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> (Result<Chunking, ConfigError>, Vec<Warning>) {
        let mut warnings = Vec::new();
        let file: ChunkingFile = toml::from_str(text).unwrap();
        (file.complete(&mut warnings), warnings)
    }

    #[test]
    fn absent_sizes_are_the_default() {
        let (chunking, warnings) = complete("");
        assert_eq!((chunking.unwrap().0, warnings), (ChunkSizes::default(), vec![]));
    }

    #[test]
    fn what_attic_takes_is_taken() {
        let (chunking, warnings) =
            complete("nar-size-threshold = 1048576\nmin-size = 16383\navg-size = 65536\nmax-size = 262144");
        let chunking = chunking.unwrap();
        assert_eq!((chunking.0.min_size(), chunking.0.nar_size_threshold()), (16382, 262_144));
        assert_eq!(
            warnings,
            [
                Warning::OddSize { key: "min-size", given: 16383, used: 16382 },
                Warning::Threshold { given: 1_048_576, used: 262_144 },
            ]
        );
        assert_eq!(complete("nar-size-threshold = 0").1, [Warning::NoThreshold]);
    }

    #[test]
    fn sizes_that_contradict_each_other_are_refused() {
        let (chunking, _) = complete("min-size = 65536\navg-size = 16384");
        assert_eq!(
            chunking.unwrap_err().to_string(),
            "[chunking]: chunk sizes must ascend: min-size 65536 <= avg-size 16384 <= max-size 4194304"
        );
    }
}
