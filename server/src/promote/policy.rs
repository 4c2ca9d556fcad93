//! The policy: what is asked of a claim, written down, with a version and a digest.

use std::path::{Path, PathBuf};

use formats::{PublicKey, Sha256};
use serde::{Deserialize, Serialize};

use super::pattern::Pattern;
use crate::config::Endpoint;

/// A policy file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("the promotion policy {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML, has a key that there is not, or a value that does not fit its key.
    #[error("the promotion policy {path}: {message}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with its line.
        message: String,
    },
}

/// A policy that is in effect.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What it asks.
    pub rules: Rules,
    /// SHA-256 of all of it, what is left out of the file included.
    pub digest: Sha256,
}

/// What a policy asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rules {
    /// What its author calls this version.
    pub version: String,
    /// P1
    #[serde(default)]
    pub source: SourceRules,
    /// P2
    #[serde(default)]
    pub evaluation: EvaluationRules,
    /// P3 and P4
    #[serde(default)]
    pub derivation: DerivationRules,
    /// P5
    #[serde(default)]
    pub closure: ClosureRules,
    /// P7
    #[serde(default)]
    pub signatures: SignatureRules,
    /// P8
    #[serde(default)]
    pub content: ContentRules,
    /// P9
    #[serde(default)]
    pub builders: BuilderRules,
    /// P10
    #[serde(default)]
    pub corroboration: CorroborationRules,
    /// P11
    #[serde(default)]
    pub checks: CheckRules,
    /// P12
    #[serde(default)]
    pub class: ClassRules,
}

macro_rules! section {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|&text| text.into()).collect()
}

section! {
    /// `[source]`: where a claim may come from.
    SourceRules {
        /// Whether it must come from a flake at all.
        require_flake: bool = true,
        /// The schemes of the flake itself.
        schemes: Vec<String> = ["github", "gitlab", "sourcehut", "git+https", "git+ssh"].map(str::to_owned).into(),
        /// The schemes of its inputs.
        input_schemes: Vec<String> = ["github", "gitlab", "sourcehut", "git+https", "git+ssh", "tarball+https", "file+https"]
            .map(str::to_owned)
            .into(),
        /// What the flake may be: `github:owner/repo`, `git+https://host/path`; any, if there are none.
        repositories: Vec<Pattern> = Vec::new(),
    }
}
section! {
    /// `[evaluation]`: how it must have been evaluated.
    EvaluationRules {
        /// Whether nothing but the flake may have taken part.
        require_pure: bool = true,
    }
}
section! {
    /// `[derivation]`: what derivations must not do.
    DerivationRules {
        /// Attributes that no derivation of the build may set.
        deny_flags: Vec<String> = ["__noChroot", "__impure"].map(str::to_owned).into(),
        /// Whether the builder must say that it built in the sandbox.
        require_sandbox: bool = false,
        /// Whether outputs may be content-addressed, so that nothing but the builder's word ties them to the derivation.
        allow_floating: bool = false,
        /// The most derivations that a build may have.
        max_derivations: usize = 100_000,
    }
}
section! {
    /// `[closure]`: where the closure may be.
    ClosureRules {
        /// Where paths may be that are not in the cache.
        upstreams: Vec<Upstream> = Vec::new(),
        /// The most paths that a closure may have.
        max_paths: usize = 20_000,
    }
}
section! {
    /// `[signatures]`: whose signatures are known, besides the cache's and the upstreams'.
    SignatureRules {
        /// The keys.
        keys: Vec<PublicKey> = Vec::new(),
        /// Whether a signature by a key that nobody knows is passed over.
        allow_unknown: bool = false,
    }
}
section! {
    /// `[content]`: what must not be in a closure.
    ContentRules {
        /// Names of paths that are refused.
        deny_names: Vec<Pattern> = patterns(&["*.drv", "*-source", "*.check", "*-dirty*", "*.drv.chroot"]),
        /// Names that are accepted all the same.
        allow_names: Vec<Pattern> = Vec::new(),
        /// Paths, by name, in which secrets are not looked for: they have examples of them.
        allow_secrets_in: Vec<Pattern> = Vec::new(),
        /// Paths, by name, that may mention store paths that they do not refer to.
        allow_mentions_in: Vec<Pattern> = Vec::new(),
    }
}
section! {
    /// `[builders]`: whose claims may be promoted.
    BuilderRules {
        /// The subjects of their tokens; any, if there are none.
        subjects: Vec<Pattern> = Vec::new(),
        /// The repositories that their jobs ran for, as an issuer of identities says; any or none, if there are none.
        repositories: Vec<Pattern> = Vec::new(),
        /// The refs that their jobs ran for, likewise.
        refs: Vec<Pattern> = Vec::new(),
    }
}
section! {
    /// `[corroboration]`: how many independent builders must agree.
    CorroborationRules {
        /// For any tag.
        builders: usize = 1,
        /// For public tags.
        public_builders: usize = 2,
    }
}
section! {
    /// `[checks]`: what must have been green.
    CheckRules {
        /// The names of the checks.
        required: Vec<String> = Vec::new(),
        /// The keys that attest them; if there are none, the builder's word is enough.
        keys: Vec<PublicKey> = Vec::new(),
    }
}
section! {
    /// `[class]`: what is promoted at all.
    ClassRules {
        /// Attributes; a claim without one is judged by its derivation's name alone.
        attributes: Vec<Pattern> = patterns(&["packages.*", "legacyPackages.*"]),
        /// Names of derivations that are not promoted here.
        deny_names: Vec<Pattern> = patterns(&["*-tarball.drv", "*-oci-image.drv", "docker-image-*.drv"]),
        /// Whether a claim outside flakes may be promoted.
        allow_without_attribute: bool = false,
    }
}

/// Another cache that may hold parts of a closure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Upstream {
    /// Where.
    pub url: Endpoint,
    /// The keys that it signs with.
    pub keys: Vec<PublicKey>,
}

impl Rules {
    /// What is asked where nobody wrote a policy.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            version: "built-in-1".to_owned(),
            source: SourceRules::default(),
            evaluation: EvaluationRules::default(),
            derivation: DerivationRules::default(),
            closure: ClosureRules::default(),
            signatures: SignatureRules::default(),
            content: ContentRules::default(),
            builders: BuilderRules::default(),
            corroboration: CorroborationRules::default(),
            checks: CheckRules::default(),
            class: ClassRules::default(),
        }
    }
}

impl Policy {
    /// Puts rules into effect.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        // Every field has a JSON form; were there none, the digest of nothing would match no stored verdict.
        let canonical = serde_json::to_vec(&rules).unwrap_or_default();
        Self { digest: Sha256::digest_of(&canonical), rules }
    }

    /// The policy in that file, or the one that is built in.
    ///
    /// # Errors
    /// If the file cannot be read, or says something that makes no sense.
    pub fn open(path: Option<&Path>) -> Result<Self, PolicyError> {
        let Some(path) = path else { return Ok(Self::new(Rules::built_in())) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyError::Unreadable { path: path.to_owned(), source })?;
        let rules = toml::from_str(&text)
            .map_err(|error| PolicyError::Malformed { path: path.to_owned(), message: error.to_string() })?;
        Ok(Self::new(rules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_part_of_the_digest() {
        let rules = |text: &str| toml::from_str::<Rules>(text).map(Policy::new);
        let short = rules("version = 'built-in-1'").unwrap();
        assert_eq!(short.digest, Policy::open(None).unwrap().digest);
        assert_ne!(rules("version = '2'").unwrap().digest, short.digest);
        assert_ne!(rules("version = 'built-in-1'\n[class]\nattributes = []").unwrap().digest, short.digest);
        for bad in ["", "version = 1", "version = '1'\nsorce = {}", "version = '1'\n[content]\ndeny = ['x']"] {
            assert!(rules(bad).is_err(), "{bad}");
        }
    }
}
