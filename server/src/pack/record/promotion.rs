//! Records of promotion.

use database::PromotionFact;
use serde::{Deserialize, Serialize};

/// Something about promotion in a cache, as it is from this record's stamp on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionRecord {
    /// The name of the cache.
    pub cache: String,
    /// What.
    pub fact: PromotionFact,
}
