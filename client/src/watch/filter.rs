//! Which paths are worth pushing as soon as they appear.

use formats::StorePath;

/// Leaves out what is of no use to whoever substitutes: derivations and sources.
///
/// It concerns only what is found by watching. What is left out here still travels as part of the closure of what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathFilter {
    /// Take derivations too.
    pub derivations: bool,
    /// Take paths whose names end in `-source` too.
    pub sources: bool,
}

impl PathFilter {
    /// Tells whether `path` is worth pushing.
    #[must_use]
    pub fn takes(self, path: &StorePath) -> bool {
        let is_source = format!("-{}", path.name()).ends_with("-source");
        (self.derivations || !path.is_derivation()) && (self.sources || !is_source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivations_and_sources_are_left_out_unless_asked_for() {
        let taken = |filter: PathFilter| -> Vec<&str> {
            let names = ["hello-2.12", "hello.drv", "source", "hello-source", "resource"];
            let takes = |name: &&str| filter.takes(&format!("{}-{name}", "a".repeat(32)).parse().unwrap());
            names.into_iter().filter(takes).collect()
        };
        assert_eq!(taken(PathFilter::default()), ["hello-2.12", "resource"]);
        assert_eq!(taken(PathFilter { derivations: true, sources: false }), ["hello-2.12", "hello.drv", "resource"]);
        assert_eq!(taken(PathFilter { derivations: true, sources: true }).len(), 5);
    }
}
