//! The environment as a value, so that nothing but `main` reads the real one.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use super::ConfigError;

/// Variables of an environment. One that is set to nothing counts as not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The variable as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        let value = self.0.get(name.as_ref() as &std::ffi::OsStr).cloned();
        value.map(|v| v.into_string().map_err(|_| ConfigError::VariableNotText { name })).transpose()
    }

    /// The variable as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(name.as_ref() as &std::ffi::OsStr).map(PathBuf::from)
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(variables.filter(|(_, value): &(OsString, OsString)| !value.is_empty()).collect())
    }
}

/// Shows the names only: the values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
