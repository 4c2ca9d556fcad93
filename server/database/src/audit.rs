//! The audit: what was done by those who may do more than push and pull.

use async_trait::async_trait;
use protocol::{CacheName, Timestamp};

use crate::Result;

/// Rows about acts. They are added, and forgotten when they are old; never changed.
#[async_trait]
pub trait Audit {
    /// Writes an act down.
    async fn record_act(&self, act: &NewAct) -> Result<()>;

    /// A page of acts, newest first.
    async fn list_acts(&self, filter: &ActFilter, after: Option<ActMark>, limit: u32) -> Result<Vec<ActRow>>;

    /// Forgets acts from before `before`, and the oldest ones beyond the newest `keep`, some `limit` of them; how many.
    async fn prune_acts(&self, before: Timestamp, keep: u64, limit: u32) -> Result<u64>;
}

macro_rules! acts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kind of an act.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Act { $($(#[$doc])* $variant,)* }

        impl Act {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in rows and answers; never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

acts! {
    /// A cache was made.
    CacheCreate = "cache.create",
    /// Settings of a cache were changed.
    CacheConfigure = "cache.configure",
    /// A cache was destroyed.
    CacheDestroy = "cache.destroy",
    /// A cache signs with one more key, or with another.
    KeyAdd = "cache.key.add",
    /// A cache signs with one key less.
    KeyRemove = "cache.key.remove",
    /// The limits of a cache were changed.
    CacheLimits = "cache.limits",
    /// A path was pinned.
    PinAdd = "pin.add",
    /// A pin was removed.
    PinRemove = "pin.remove",
    /// Paths were deleted by hand.
    PathDelete = "path.delete",
    /// Somebody had rounds of collection made.
    Collect = "gc.run",
    /// Collection removed paths that nobody had used for long enough.
    CollectRemove = "gc.remove",
    /// A token was made.
    TokenMint = "token.mint",
    /// A token, or all tokens of a subject, were revoked.
    TokenRevoke = "token.revoke",
    /// An identity was exchanged for a token.
    TokenExchange = "token.exchange",
    /// The scrub found damage, and hid what cannot be served.
    ScrubFind = "scrub.find",
    /// Somebody had the store looked through, and hid what cannot be served.
    FsckMark = "fsck.mark",
    /// Somebody had the store mended.
    FsckRepair = "fsck.repair",
    /// A claim was taken back by a promoter.
    ClaimRevoke = "claim.revoke",
    /// Disagreement of builders was settled.
    DivergenceResolve = "divergence.resolve",
    /// What is asked of claims to a cache was changed.
    PolicySet = "policy.set",
    /// A cache signs its views with one more key.
    PromotionKeyRotate = "promotion-key.rotate",
    /// A tag was moved, or made.
    TagMove = "tag.move",
    /// A tag went back to an earlier revision.
    TagRollback = "tag.rollback",
    /// Others may substitute from a view than before.
    TagShow = "tag.show",
    /// What a tag pointed at was taken back.
    TagRevoke = "tag.revoke",
    /// What a tag points at left for an outside surface.
    TagExport = "tag.export",
}

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Whoever wanted it may not do it, or it makes no sense.
    Refused,
    /// It was begun and went wrong: perhaps some of it was done.
    Failed,
}

impl Outcome {
    /// Its name in rows and answers; never changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An act to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAct {
    /// When.
    pub at: Timestamp,
    /// Who: the subject of a token, or of an operator on the command line.
    pub subject: String,
    /// The `jti` of their token.
    pub token: Option<String>,
    /// Where the request came from; none on the command line.
    pub address: Option<String>,
    /// What.
    pub act: Act,
    /// On which cache.
    pub cache: Option<CacheName>,
    /// On what: a token's id, a path, the name of a pin or key.
    pub object: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What else there is to know, for people.
    pub detail: Option<String>,
}

/// An act that was written down. What it was is a text: a newer version may know more kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRow {
    /// Its row.
    pub id: i64,
    /// As in [`NewAct`].
    pub at: Timestamp,
    /// As in [`NewAct`].
    pub subject: String,
    /// As in [`NewAct`].
    pub token: Option<String>,
    /// As in [`NewAct`].
    pub address: Option<String>,
    /// [`Act::name`].
    pub act: String,
    /// As in [`NewAct`].
    pub cache: Option<String>,
    /// As in [`NewAct`].
    pub object: Option<String>,
    /// [`Outcome::name`].
    pub outcome: String,
    /// As in [`NewAct`].
    pub detail: Option<String>,
}

/// Which acts to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Only those at this time or later.
    pub since: Option<Timestamp>,
    /// Only those on this cache.
    pub cache: Option<CacheName>,
}

/// The place of an act in a list, to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActMark {
    /// When it was.
    pub at: Timestamp,
    /// Its row.
    pub id: i64,
}

impl ActMark {
    /// The place before the newest act.
    pub const NEWEST: Self = Self { at: Timestamp(i64::MAX), id: i64::MAX };
}

impl ActRow {
    /// Its place in a list.
    #[must_use]
    pub const fn mark(&self) -> ActMark {
        ActMark { at: self.at, id: self.id }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_act_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Act::ALL.iter().map(|act| act.name()).collect();
        assert_eq!(names.len(), Act::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '-')));
    }
}
