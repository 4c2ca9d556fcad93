//! What a token grants: from `--pull PATTERN` and its like to the claim.

use clap::Args;
use protocol::{AtticClaim, CacheGrant, CachePattern, Permission, Permissions};

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

/// The claim that grants all of `grants`.
///
/// A token's reader takes the entry of exactly the cache's name, else the first pattern that matches, and no other one. So a
/// narrower pattern must come before a wider one, and must repeat what that one grants.
pub(super) fn claim(grants: &[(CachePattern, Permissions)]) -> AtticClaim {
    let mut claim = AtticClaim::default();
    for (pattern, _) in grants {
        if claim.caches.0.iter().any(|grant| grant.pattern == *pattern) {
            continue;
        }
        let covering = grants.iter().filter(|(wide, _)| covers(wide, pattern));
        let permissions = covering.fold(Permissions::NONE, |all, (_, some)| all.union(*some));
        claim.caches.0.push(CacheGrant { pattern: pattern.clone(), permissions });
    }
    // What covers more of the others comes later; among equals the order stays.
    let all: Vec<CachePattern> = claim.caches.0.iter().map(|grant| grant.pattern.clone()).collect();
    claim.caches.0.sort_by_key(|grant| all.iter().filter(|other| covers(&grant.pattern, other)).count());
    claim
}

/// Tells whether every name that `narrow` matches, `wide` matches too. A star of `narrow` needs a star of `wide`.
fn covers(wide: &CachePattern, narrow: &CachePattern) -> bool {
    fn matches(wide: &str, narrow: &str) -> bool {
        let Some((literal, rest)) = wide.split_once('*') else { return wide == narrow };
        let Some(mut narrow) = narrow.strip_prefix(literal) else { return false };
        // Pieces between two stars are found greedily from the left, the last one at the end.
        let mut pieces = rest.split('*').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return narrow.ends_with(piece);
            }
            match narrow.split_once(piece) {
                Some((_, after)) => narrow = after,
                None => return false,
            }
        }
        true
    }
    matches(wide.as_str(), narrow.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_patterns_cover_narrower_ones() {
        for (wide, narrow) in [
            ("*", "main"),
            ("*", "*"),
            ("*", "a*b"),
            ("team-*", "team-a"),
            ("team-*", "team-*-x"),
            ("a*c", "abc"),
            ("a*b*c", "a*xbx*c"),
            ("**", "*"),
        ] {
            assert!(covers(&pattern(wide), &pattern(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("main", "*"),
            ("main", "main2"),
            ("team-*", "*"),
            ("team-*", "team"),
            ("a*b", "a*c"),
            ("a*bc*c", "abc"),
            ("ab*bc", "abc"),
        ] {
            assert!(!covers(&pattern(wide), &pattern(narrow)), "{wide} {narrow}");
        }
    }

    #[test]
    fn a_claim_grants_the_union_whatever_the_order() {
        let one = |p: &'static str, permission| (pattern(p), Permissions::NONE.with(permission));
        let mut grants = vec![
            one("*", Permission::Pull),
            one("team-*", Permission::Push),
            one("team-a", Permission::Delete),
            one("*-ci", Permission::CreateCache),
        ];
        for _ in 0..grants.len() {
            grants.rotate_left(1);
            let claim = claim(&grants);
            let may = |name: &str| format!("{:?}", claim.permissions(&name.parse().unwrap()));
            assert_eq!(may("other"), r#"{"r"}"#);
            assert_eq!(may("team-b"), r#"{"r", "w"}"#);
            assert_eq!(may("team-a"), r#"{"r", "w", "d"}"#);
            assert_eq!(may("x-ci"), r#"{"r", "cc"}"#);
        }
    }
}
