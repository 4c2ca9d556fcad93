//! Everything that is taken from the environment, read once.

use std::{env, ffi::OsString, path::PathBuf};

use client::api::IdentitySource;
use url::Url;

use crate::output::{ExitStatus, Failure};

/// The environment, as far as it concerns us. An empty variable is one that is not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `XDG_CONFIG_HOME`, or `.config` in the home folder.
    pub(crate) config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, or `.local/state` in the home folder.
    pub(crate) state_home: Option<PathBuf>,
    pub(crate) working_dir: PathBuf,
    /// `ATTIC_SERVER`: a server's address.
    pub(crate) server: Option<String>,
    /// `ATTIC_CACHE`: the cache when none is named.
    pub(crate) cache: Option<String>,
    /// `ATTIC_TOKEN`.
    pub(crate) token: Option<String>,
    /// `ATTIC_TOKEN_FILE`: a file with the token.
    pub(crate) token_file: Option<PathBuf>,
    /// Who the job is: `FLYWHEEL_ID_TOKEN`, or what GitHub's `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN` lead to.
    pub(crate) identity: Option<IdentitySource>,
    /// `NIX_STORE_DIR`.
    pub(crate) nix_store_dir: Option<String>,
    /// `NIX_REMOTE`.
    pub(crate) nix_remote: Option<String>,
    /// `FLYWHEEL_QUEUE_DIR`: where a watcher's queue is.
    pub(crate) queue_dir: Option<PathBuf>,
    /// `OUT_PATHS`: what Nix tells its post-build hook.
    pub(crate) out_paths: Option<String>,
    /// `DRV_PATH`: the same, of the derivation.
    pub(crate) drv_path: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text =
            |name: &'static str| match env::var_os(name).filter(|value| !value.is_empty()).map(OsString::into_string) {
                None => Ok(None),
                Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
                Some(Err(_)) => Err(Failure::usage(format!("{name} is not UTF-8"))),
            };
        let working_dir = env::current_dir()
            .map_err(|error| Failure::new(ExitStatus::Failed, format!("no working directory: {error}")))?;
        Ok(Self {
            // A relative XDG_CONFIG_HOME is to be ignored, says its specification.
            config_home: path("XDG_CONFIG_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(path("HOME")?.join(".config"))),
            state_home: path("XDG_STATE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(path("HOME")?.join(".local/state"))),
            working_dir,
            server: text("ATTIC_SERVER")?,
            cache: text("ATTIC_CACHE")?,
            token: text("ATTIC_TOKEN")?,
            token_file: path("ATTIC_TOKEN_FILE"),
            identity: identity(
                text("FLYWHEEL_ID_TOKEN")?,
                text("ACTIONS_ID_TOKEN_REQUEST_URL")?,
                text("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?,
            ),
            nix_store_dir: text("NIX_STORE_DIR")?,
            nix_remote: text("NIX_REMOTE")?,
            queue_dir: path("FLYWHEEL_QUEUE_DIR"),
            out_paths: text("OUT_PATHS")?,
            drv_path: path("DRV_PATH"),
        })
    }

    /// A file under the configuration folder.
    pub(crate) fn config_file(&self, path: &str) -> Result<PathBuf, Failure> {
        let home = self.config_home.as_ref().ok_or_else(|| {
            Failure::usage("there is no folder for configuration").hint("set HOME or XDG_CONFIG_HOME")
        })?;
        Ok(home.join(path))
    }
}

/// An address that is none is one that the runner does not have.
fn identity(given: Option<String>, url: Option<String>, token: Option<String>) -> Option<IdentitySource> {
    if let Some(given) = given {
        return Some(IdentitySource::Given(given));
    }
    Some(IdentitySource::Runner { url: Url::parse(&url?).ok()?, token: token? })
}
