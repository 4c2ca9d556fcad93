//! Patterns of names in a policy.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text in which `*` stands for any run of characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Greedy, with one place to come back to: never exponential.
        let mut back: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                back = Some((p, t));
                p += 1;
            } else if pattern.get(p) == Some(&text[t]) {
                p += 1;
                t += 1;
            } else if let Some((star, from)) = back {
                back = Some((star, from + 1));
                p = star + 1;
                t = from + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&c| c == b'*')
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether one of the patterns matches.
#[must_use]
pub fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run() {
        let matches = |pattern: &str, text: &str| Pattern::from(pattern).matches(text);
        assert!(matches("*-source", "hello-1.0-source") && !matches("*-source", "source-code"));
        assert!(matches("refs/tags/*", "refs/tags/v1") && matches("*", "") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("main", "main2") && !matches("", "x") && matches("", ""));
    }
}
