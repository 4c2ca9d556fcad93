//! What a token may do to a cache.

use std::{fmt, str::FromStr};

/// One thing that a token may do to a cache.
///
/// The first seven are Attic's, with its short names, and stand in its claim. The others are ours and stand in a claim of
/// their own, so that nobody who mints a token for Attic grants them by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// `r`: substitute from it.
    Pull,
    /// `w`: push to it.
    Push,
    /// `d`: delete paths.
    Delete,
    /// `cc`: create it.
    CreateCache,
    /// `cr`: change its settings and keys.
    ConfigureCache,
    /// `cq`: change its retention.
    ConfigureCacheRetention,
    /// `cd`: destroy it.
    DestroyCache,
    /// `tk`: make, list and revoke tokens that may do no more than this one.
    ManageTokens,
    /// `au`: read what was done.
    ReadAudit,
    /// `pr`: move tags onto what is clean.
    Promote,
}

impl Permission {
    /// Every permission, in the order of Attic's claim, and then ours.
    pub const ALL: [Self; 10] = [
        Self::Pull,
        Self::Push,
        Self::Delete,
        Self::CreateCache,
        Self::ConfigureCache,
        Self::ConfigureCacheRetention,
        Self::DestroyCache,
        Self::ManageTokens,
        Self::ReadAudit,
        Self::Promote,
    ];

    /// Tells whether Attic has this permission too.
    #[must_use]
    pub const fn is_attics(self) -> bool {
        self.bit() <= Self::DestroyCache.bit()
    }

    /// The key of this permission in a token's claim.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Pull => "r",
            Self::Push => "w",
            Self::Delete => "d",
            Self::CreateCache => "cc",
            Self::ConfigureCache => "cr",
            Self::ConfigureCacheRetention => "cq",
            Self::DestroyCache => "cd",
            Self::ManageTokens => "tk",
            Self::ReadAudit => "au",
            Self::Promote => "pr",
        }
    }

    /// The word for this permission in configurations, requests and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::CreateCache => "create-cache",
            Self::ConfigureCache => "configure-cache",
            Self::ConfigureCacheRetention => "configure-cache-retention",
            Self::DestroyCache => "destroy-cache",
            Self::ManageTokens => "manage-tokens",
            Self::ReadAudit => "read-audit",
            Self::Promote => "promote",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Pull => 1,
            Self::Push => 2,
            Self::Delete => 4,
            Self::CreateCache => 8,
            Self::ConfigureCache => 16,
            Self::ConfigureCacheRetention => 32,
            Self::DestroyCache => 64,
            Self::ManageTokens => 128,
            Self::ReadAudit => 256,
            Self::Promote => 512,
        }
    }
}

/// A text that is no permission's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no permission: there are {all}", all = Permission::ALL.map(Permission::name).join(", "))]
pub struct PermissionError {
    text: String,
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let named = Self::ALL.into_iter().find(|permission| permission.name() == text);
        named.ok_or_else(|| PermissionError { text: text.to_owned() })
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// No permission at all.
    pub const NONE: Self = Self(0);

    /// Tells whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// The set with `permission` added.
    #[must_use]
    pub const fn with(self, permission: Permission) -> Self {
        Self(self.0 | permission.bit())
    }

    /// Everything that is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Everything that is in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Tells whether everything in `other` is in this set too.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Tells whether the set is empty. A caller with no permission on a cache may not even learn that it exists.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions of the set, in the order of Attic's claim.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |&p| self.contains(p))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::short_name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(permission));
        }
        let error = "admin".parse::<Permission>().unwrap_err().to_string();
        assert!(error.starts_with("\"admin\" is no permission: there are pull, push, delete,"), "{error}");
    }

    #[test]
    fn a_set_holds_what_it_was_given() {
        let set: Permissions = [Permission::Pull, Permission::DestroyCache].into_iter().collect();
        for p in Permission::ALL {
            assert_eq!(set.contains(p), matches!(p, Permission::Pull | Permission::DestroyCache), "{p:?}");
        }
        assert_eq!(format!("{set:?}"), r#"{"r", "cd"}"#);
        assert!(Permissions::NONE.is_empty() && !set.is_empty());
    }
}
