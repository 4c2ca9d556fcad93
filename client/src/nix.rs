//! What the client asks of the local Nix.

mod command;
mod dump;
mod path_info;
mod place;
mod resolve;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use formats::{PathInfo, StoreDir, StorePath};
use protocol::Timestamp;

pub use command::CommandStore;
pub use dump::{DumpError, dump, dump_through};
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

    /// Those of `paths` that are valid, each with the time since when, if Nix tells.
    ///
    /// # Errors
    /// Nix cannot be asked.
    fn registrations(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, Option<Timestamp>>, StoreError>;

    /// Where the contents of `path` lie on this machine, which need not be under the store dir.
    fn contents(&self, path: &StorePath) -> PathBuf;

    /// The folder on this machine in which the contents of all paths lie.
    fn folder(&self) -> &Path;
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
