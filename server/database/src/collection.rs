//! Collection: what the collector reads and writes of the index, page by page.
//!
//! Everything goes in two steps: it is condemned, and removed later if it is condemned still. Whatever uses it in between
//! spares it: [`crate::Paths::find_path`] and [`crate::Paths::missing_paths`] spare the paths that they find,
//! [`crate::Chunks::find_chunks`] the chunks, and [`crate::Chunks::commit`] everything that what it commits refers to. A
//! removal sees what was committed before it, and a commit sees what was removed before it: the two never run side by side.
//!
//! Only the holder of the collector's lease calls what changes anything; no call takes more than a few thousand rows. Pages come in
//! ascending order of their keys, from behind `after` on.

mod chunks;
mod packs;
mod paths;

pub use chunks::{ChunkCollection, NarChunks, Watermark};
pub use packs::{Grave, MovedRun, PackCollection, PackUse, PackedChunk, Rewrite};
pub use paths::{CollectedCache, DocumentAge, PathAge, PathCollection, PathReferences, PathWeight, Removal, UploadAge};
