//! What the collector reads and writes.

mod chunks;
mod packs;
mod paths;
