//! Who asks.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};

/// Files are read again after this time, so that keys can be changed without a restart.
const REREAD: Duration = Duration::from_secs(300);
/// What the SDK says of credentials that come from here.
const PROVIDER: &str = "flywheel";

/// Where credentials come from.
#[derive(Clone)]
pub enum Login {
    /// The standard chain: environment, profile, web identity, the machine's or container's metadata.
    Chain,
    /// They are known.
    Keys {
        /// Whose key it is.
        id: String,
        /// The key.
        secret: String,
    },
    /// They are in two files, which are read again every five minutes.
    Files {
        /// Whose key it is.
        id: PathBuf,
        /// The key.
        secret: PathBuf,
    },
}

impl Login {
    pub(crate) fn keys(id: &str, secret: &str) -> Credentials {
        Credentials::new(id, secret, None, None, PROVIDER)
    }
}

/// Reads credentials from files.
#[derive(Debug)]
pub(crate) struct FileCredentials {
    pub(crate) id: PathBuf,
    pub(crate) secret: PathBuf,
}

impl FileCredentials {
    fn read(&self) -> Result<Credentials, CredentialsError> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CredentialsError::invalid_configuration(format!("{}: {error}", path.display())))?;
            match text.trim() {
                "" => Err(CredentialsError::invalid_configuration(format!("{} is empty", path.display()))),
                text => Ok(text.to_owned()),
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the SDK compares this with the system's clock itself")]
        let expires = SystemTime::now() + REREAD;
        Ok(Credentials::new(read(&self.id)?, read(&self.secret)?, None, Some(expires), PROVIDER))
    }
}

impl ProvideCredentials for FileCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        // Two short files: quicker than a thread for them.
        future::ProvideCredentials::ready(self.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_without_their_line_ends() {
        let dir = tempfile::tempdir().unwrap();
        let files = FileCredentials { id: dir.path().join("id"), secret: dir.path().join("secret") };
        let error = std::error::Error::source(&files.read().unwrap_err()).unwrap().to_string();
        assert!(error.contains("id: No such file"), "{error}");
        std::fs::write(&files.id, "ME\n").unwrap();
        std::fs::write(&files.secret, " \n").unwrap();
        assert!(files.read().is_err());
        std::fs::write(&files.secret, "hush\n").unwrap();
        let read = files.read().unwrap();
        assert_eq!((read.access_key_id(), read.secret_access_key()), ("ME", "hush"));
        assert!(read.expiry().is_some());
    }
}
