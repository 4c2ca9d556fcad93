//! What a round did.

use metrics::counter;
use serde::{Deserialize, Serialize};

use crate::metrics as names;

macro_rules! report {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// What a round, or several, did.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Report {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Report {
            /// Adds what another round did.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }

            /// Every number, by its name.
            #[must_use]
            pub fn numbers(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }
        }
    };
}

report! {
    /// Paths that were found unused.
    paths_condemned,
    /// Paths that were to go, and are used again.
    paths_spared,
    /// Paths that went.
    paths_removed,
    /// Pins that had run out.
    pins_expired,
    /// Names of plain uploads that had lapsed.
    uploads_removed,
    /// Documents that were too old.
    documents_removed,
    /// NARs that no path had.
    nars_removed,
    /// NARs that were hidden since chunks of theirs are damaged or gone.
    nars_quarantined,
    /// Chunks that were found unused.
    chunks_condemned,
    /// Chunks that were to go, and are used again.
    chunks_spared,
    /// Chunks that went.
    chunks_removed,
    /// Packs that were rewritten, or had nothing in them.
    packs_rewritten,
    /// Bytes of frames that were copied.
    bytes_moved,
    /// Packs whose objects are gone from the storage.
    packs_missing,
    /// Objects that no row names, found now.
    strays_found,
    /// Objects that were removed.
    objects_removed,
    /// Their bytes.
    bytes_freed,
    /// Objects that were begun long ago and never finished.
    unfinished_aborted,
    /// Objects with records only that were merged into others.
    records_merged,
}

impl Report {
    /// Whether there was nothing to do. What waits for its time is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    /// Adds to the metrics.
    pub(super) fn count(&self) {
        counter!(names::GC_REMOVED_PATHS).increment(self.paths_removed);
        counter!(names::GC_REMOVED_CHUNKS).increment(self.chunks_removed);
        counter!(names::GC_FREED_BYTES).increment(self.bytes_freed);
        counter!(names::GC_MOVED_BYTES).increment(self.bytes_moved);
        counter!(names::GC_MISSING_PACKS).increment(self.packs_missing);
    }
}
