//! What builders, promoters and admins have said: claims, tags, revoked tokens.

use std::collections::HashSet;

use database::{CacheId, NewToken, PromotionFact};
use protocol::{Claims, Timestamp};

use super::{Rebuild, RebuildError, caches::Timeline, report::Stage, survey::Survey};
use crate::pack::{PromotionRecord, Record, Revocation};

/// What was restored, each thing once however often it changed.
#[derive(Default)]
struct Restored {
    claims: HashSet<i64>,
    tags: HashSet<(CacheId, String)>,
}

impl Rebuild<'_> {
    /// Replays promotion and revocations. Paths are there by then: what is promoted is about them.
    pub(super) async fn replay_told(&mut self, survey: &mut Survey, timeline: &Timeline) -> Result<(), RebuildError> {
        let total = survey.told.len() as u64;
        let mut restored = Restored::default();
        for (done, entry) in (1..).zip(std::mem::take(&mut survey.told)) {
            for record in survey.spool.read(&entry)? {
                match record {
                    // Of a cache that is gone, or that had the name before this one.
                    Record::Promotion(PromotionRecord { cache, fact }) => {
                        if let Some(cache) = timeline.live_since(&cache, entry.stamp) {
                            self.promotion(cache, fact, &mut restored).await?;
                        }
                    }
                    Record::Revocation(revocation) => self.revocation(revocation).await?,
                    _ => {}
                }
            }
            self.tell(Stage::Promotion, done, Some(total));
        }
        (self.report.claims, self.report.tags) = (restored.claims.len() as u64, restored.tags.len() as u64);
        Ok(())
    }

    async fn promotion(
        &mut self,
        cache: CacheId,
        fact: PromotionFact,
        restored: &mut Restored,
    ) -> Result<(), RebuildError> {
        if !self.database.restore_promotion(cache, &fact).await? {
            let what = match &fact {
                PromotionFact::Verdict(verdict) => format!("a verdict on claim {}", verdict.claim),
                PromotionFact::Receipt(left) => format!("receipt {}", left.receipt.id),
                _ => "something promoted".to_owned(),
            };
            self.report.malformed_records.add(what, "there is no record of what it is about");
        }
        match fact {
            PromotionFact::Claim(claim) => drop(restored.claims.insert(claim.number)),
            PromotionFact::Tag(tag) => drop(restored.tags.insert((cache, tag.name.to_string()))),
            _ => {}
        }
        Ok(())
    }

    async fn revocation(&mut self, revocation: Revocation) -> Result<(), RebuildError> {
        match revocation {
            Revocation::Token { id, subject, scope, created_at, expires_at, minted_by, at } => {
                let token = NewToken {
                    id,
                    subject,
                    scope,
                    created_at: Timestamp(created_at),
                    expires_at: Timestamp(expires_at),
                    minted_by,
                    parent: None,
                    proof: None,
                    revoked_at: Some(Timestamp(at)),
                };
                if token.expires_at < self.clock.now().minus(Claims::LEEWAY) {
                    return Ok(());
                }
                if !self.database.register_token(&token).await? {
                    self.database.revoke_token(&token.id, Timestamp(at)).await?;
                }
            }
            Revocation::Subject { subject, at } => {
                self.database.revoke_subject(&subject, Timestamp(at)).await?;
            }
        }
        self.report.revocations += 1;
        Ok(())
    }
}
