//! What promotion keeps from collection.

use std::sync::Arc;

use async_trait::async_trait;
use database::{CollectedCache, Database};
use protocol::Timestamp;

use crate::collect::{ExtraRoots, Root};

/// How many paths one question is about.
const PAGE: u32 = 5000;

/// Every path of every revision that is kept.
#[derive(Debug)]
pub struct PromotedRoots(pub Arc<dyn Database>);

#[async_trait]
impl ExtraRoots for PromotedRoots {
    async fn roots(&self, cache: &CollectedCache, _: Timestamp) -> database::Result<Vec<Root>> {
        let mut roots = Vec::new();
        let mut after = None;
        loop {
            let page = self.0.promoted_paths(cache.id, after, PAGE).await?;
            after = page.last().copied();
            let is_last = page.len() < PAGE as usize;
            roots.extend(page.into_iter().map(|hash| Root { hash, why: "it is promoted".to_owned() }));
            if is_last {
                return Ok(roots);
            }
        }
    }
}
