//! Collection: what is condemned, spared and removed.

mod packs;
mod paths;
mod space;

use super::Check;

/// The checks of all parts.
pub(super) const CHECKS: [&[Check]; 3] = [paths::CHECKS, space::CHECKS, packs::CHECKS];
