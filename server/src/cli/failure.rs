//! Why a verb failed, as it is told: `error:` with the causes on one line, and `hint:` with what to try.

use std::{error::Error, fmt, io, process::ExitCode};

use crate::{
    auth::{KeysError, MintError, MintingError},
    config::{ConfigError, Unsupported},
    journal::JournalError,
    run,
};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitStatus {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    /// It went well, and told of damage that is still there.
    Damaged = 3,
    /// It went well, and mended all the damage that it found.
    Mended = 4,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a verb failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: ExitStatus,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { status: ExitStatus::Failed, message: message.into(), hint: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { status: ExitStatus::Usage, message: message.into(), hint: None }
    }

    /// An end that is no mistake of anybody, and of which all has been said.
    pub(super) const fn told(status: ExitStatus) -> Self {
        Self { status, message: String::new(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error with its causes. One that a layer above has said already is not said again.
    pub(super) fn of(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !message.ends_with(&said) {
                message = format!("{message}: {said}");
            }
            cause = error.source();
        }
        Self::failed(message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.message.is_empty() {
            writeln!(f, "error: {}", self.message)?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| writeln!(f, "hint: {hint}"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::of(&error);
        match error {
            ConfigError::NoDataDir => failure.hint("say --data-dir DIR"),
            _ => failure,
        }
    }
}

impl From<Unsupported> for Failure {
    fn from(error: Unsupported) -> Self {
        Self::of(&error).hint(error.hint())
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        Self::of(&error).hint(keys_hint(&error))
    }
}

const fn keys_hint(error: &KeysError) -> &'static str {
    match error {
        KeysError::NotBase64(_) | KeysError::EmptySecret => "`openssl rand 64 | base64 -w0` makes a secret",
        KeysError::NotRsa { .. } => "`openssl genrsa -traditional 4096 | base64 -w0` makes a key",
        KeysError::File(_) => "run this as the user that the server runs as, with the same configuration",
    }
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        let failure = Self::of(&error);
        match error {
            MintError::PublicKeyOnly => failure.hint("make tokens where the private key is, or configure it here"),
            MintError::Signing(_) => failure,
        }
    }
}

impl From<MintingError> for Failure {
    fn from(error: MintingError) -> Self {
        match error {
            MintingError::Signing(error) => error.into(),
            MintingError::Registry(error) => error.into(),
            MintingError::ProofUsed => Self::of(&error),
        }
    }
}

impl From<crate::collect::CollectError> for Failure {
    fn from(error: crate::collect::CollectError) -> Self {
        Self::of(&error)
    }
}

impl From<database::Error> for Failure {
    fn from(error: database::Error) -> Self {
        Self::of(&error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::of(&error)
    }
}

/// Writing to a stream, or starting a runtime.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(&error)
    }
}

/// What starting or serving says of its end. Where an error that we know is the reason, there is something to try.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let failure = Self::of(error.as_ref());
        let hint = error.chain().find_map(|cause| {
            if let Some(unsupported) = cause.downcast_ref::<Unsupported>() {
                Some(unsupported.hint())
            } else if let Some(keys) = cause.downcast_ref::<KeysError>() {
                Some(keys_hint(keys))
            } else if let Some(s3) = cause.downcast_ref::<s3::S3Error>() {
                Some(s3.hint())
            } else if let Some(expiry) = cause.downcast_ref::<run::Expires>() {
                Some(expiry.hint())
            } else if let Some(storage::OpenError::InUse(_)) = cause.downcast_ref() {
                Some("a folder has one server: stop the other one, or configure another folder")
            } else {
                let io = cause.downcast_ref::<io::Error>()?;
                (io.kind() == io::ErrorKind::AddrInUse).then_some("something else listens there: say --listen ADDRESS")
            }
        });
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
