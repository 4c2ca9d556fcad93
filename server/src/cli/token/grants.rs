//! What a token grants: `--pull PATTERN` and its like.

use clap::Args;
use protocol::{CachePattern, Permission, Permissions};

/// The permissions of `atticadm make-token`, each with the caches that it is for.
#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// A cache, or a pattern with *, that it may pull from
    #[arg(long, value_name = "PATTERN")]
    pull: Vec<CachePattern>,
    /// One that it may push to
    #[arg(long, value_name = "PATTERN")]
    push: Vec<CachePattern>,
    /// One that it may delete paths from
    #[arg(long, value_name = "PATTERN")]
    delete: Vec<CachePattern>,
    /// One that it may create
    #[arg(long, value_name = "PATTERN")]
    create_cache: Vec<CachePattern>,
    /// One whose settings and keys it may change
    #[arg(long, value_name = "PATTERN")]
    configure_cache: Vec<CachePattern>,
    /// One whose retention it may change
    #[arg(long, value_name = "PATTERN")]
    configure_cache_retention: Vec<CachePattern>,
    /// One that it may destroy
    #[arg(long, value_name = "PATTERN")]
    destroy_cache: Vec<CachePattern>,
    /// One for which it may make, list and revoke tokens that may do no more than it may itself
    #[arg(long, value_name = "PATTERN")]
    manage_tokens: Vec<CachePattern>,
    /// One of which it may read what was done to it
    #[arg(long, value_name = "PATTERN")]
    read_audit: Vec<CachePattern>,
    /// One in which it may move tags onto what is clean
    #[arg(long, value_name = "PATTERN")]
    promote: Vec<CachePattern>,
}

impl GrantArgs {
    /// Every pattern with the one permission that it was named for.
    pub(super) fn list(self) -> Vec<(CachePattern, Permissions)> {
        let lists = [
            (self.pull, Permission::Pull),
            (self.push, Permission::Push),
            (self.delete, Permission::Delete),
            (self.create_cache, Permission::CreateCache),
            (self.configure_cache, Permission::ConfigureCache),
            (self.configure_cache_retention, Permission::ConfigureCacheRetention),
            (self.destroy_cache, Permission::DestroyCache),
            (self.manage_tokens, Permission::ManageTokens),
            (self.read_audit, Permission::ReadAudit),
            (self.promote, Permission::Promote),
        ];
        let with = |(patterns, permission): (Vec<CachePattern>, Permission)| {
            patterns.into_iter().map(move |pattern| (pattern, Permissions::NONE.with(permission)))
        };
        lists.into_iter().flat_map(with).collect()
    }
}

/// A pattern that is known to be one.
#[expect(clippy::expect_used, reason = "called with literals that the tests call it with too")]
pub(super) fn pattern(text: &'static str) -> CachePattern {
    text.parse().expect("a valid pattern")
}

/// The pattern of every cache.
pub(super) fn everything() -> CachePattern {
    pattern("*")
}
