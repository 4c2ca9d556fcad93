//! Damaged stores: what `fsck` says of each kind of damage, and how each is mended.

mod fixtures;
mod flips;
mod heal;
mod metrics;
mod scrub;
mod stalled;
mod stats;
mod store;
