//! `[flywheel.anonymous]`: what everybody may do, with a token or without.

use std::net::SocketAddr;

use protocol::{GrantTable, Permission, Scope};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::Warning;

/// `[flywheel.anonymous]`: `PATTERN = ["pull", "push"]`. Nothing, unless it is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Anonymous(GrantTable);

impl Anonymous {
    /// Tells whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What everybody may do.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.0.scope()
    }

    /// What to say of it when others than this machine can connect.
    pub(super) fn warning(&self, listen: SocketAddr) -> Option<Warning> {
        let changing = self.0.0.iter().filter(|(_, permissions)| permissions.iter().any(|p| p != Permission::Pull));
        let patterns: Vec<&str> = changing.map(|(pattern, _)| pattern.as_str()).collect();
        let open = !patterns.is_empty() && !listen.ip().to_canonical().is_loopback();
        open.then(|| Warning::AnonymousChanges { patterns: patterns.join(", "), listen })
    }
}

impl<'de> Deserialize<'de> for Anonymous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = GrantTable::deserialize(deserializer)?;
        let ours = table.0.iter().flat_map(|(_, permissions)| permissions.iter()).find(|p| !p.is_attics());
        match ours {
            None => Ok(Self(table)),
            Some(permission) => Err(D::Error::custom(format!("{} cannot be given to everybody", permission.name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Anonymous, toml::de::Error> {
        toml::from_str(toml)
    }

    #[test]
    fn only_what_attic_has_is_given_away() {
        let open = read("main = [\"pull\", \"push\"]\n\"ci-*\" = [\"pull\"]").unwrap();
        let permissions = open.scope().permissions(&"main".parse().unwrap());
        assert_eq!(format!("{permissions:?}"), r#"{"r", "w"}"#);
        assert!(read("main = [\"manage-tokens\"]").unwrap_err().message().contains("cannot be given to everybody"));
        assert!(read("main = [\"w\"]").is_err());
        assert!(read("\"a b\" = [\"pull\"]").is_err());
        assert!(Anonymous::default().is_empty());
    }

    #[test]
    fn changes_by_everybody_are_warned_of_when_the_world_can_connect() {
        let warns = |toml: &str, listen: &str| read(toml).unwrap().warning(listen.parse().unwrap()).is_some();
        assert!(warns("main = [\"push\"]", "[::]:8080"));
        assert!(warns("main = [\"create-cache\"]", "192.0.2.1:8080"));
        for loopback in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!warns("main = [\"push\"]", loopback), "{loopback}");
        }
        assert!(!warns("main = [\"pull\"]", "[::]:8080"));
    }
}
