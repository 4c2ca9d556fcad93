//! What the client asks of the local Nix.

mod command;
mod dump;
mod path_info;
mod place;
mod resolve;

use std::{collections::BTreeSet, path::PathBuf};

use formats::{PathInfo, StoreDir, StorePath};

pub use command::CommandStore;
pub use dump::{DumpError, dump};
pub use path_info::{PathInfoError, parse_path_infos};
pub use place::{StorePlace, StorePlaceError};
pub use resolve::{ResolveError, resolve};

/// The local Nix store, read only.
///
/// Its methods block: call them where blocking is allowed.
pub trait LocalStore: Send + Sync {
    /// The store dir that the store's paths are named with.
    fn store_dir(&self) -> &StoreDir;

    /// Path info of everything that `roots` refer to, themselves included, in no particular order.
    ///
    /// # Errors
    /// A root is not valid in this store, or Nix cannot be asked.
    fn closure(&self, roots: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError>;

    /// Path info of exactly `paths`, in no particular order.
    ///
    /// # Errors
    /// A path is not valid in this store, or Nix cannot be asked.
    fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError>;

    /// Where the contents of `path` lie on this machine, which need not be under the store dir.
    fn contents(&self, path: &StorePath) -> PathBuf;
}

/// The local store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The `nix` command cannot be started.
    #[error("cannot run `{program}`")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A path is not valid: never built, or collected since.
    #[error("store path {0} is not valid in the local store")]
    NotValid(String),
    /// The `nix` command failed.
    #[error("`{command}` failed: {stderr}")]
    Failed {
        /// The command, without the paths.
        command: String,
        /// What it said, its last lines.
        stderr: String,
    },
    /// The `nix` command's answer cannot be read.
    #[error("`{command}` answered something unexpected")]
    Answer {
        /// The command, without the paths.
        command: String,
        /// What is wrong with it.
        source: Box<PathInfoError>,
    },
}
