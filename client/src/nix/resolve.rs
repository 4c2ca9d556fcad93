//! From what a person types to a store path.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use formats::{StorePath, StorePathError};

use super::StorePlace;

/// How many links are followed before we call it a loop, as Nix and the kernel do.
const MAX_LINKS: usize = 1024;

/// An argument that leads to no store path.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It, or a folder on the way to it, is not there.
    #[error("cannot read {path}")]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It leads to something outside the store.
    #[error("{argument} is not in the Nix store: it leads to {leads_to}")]
    NotInStore {
        /// As given.
        argument: PathBuf,
        /// Where its links lead.
        leads_to: PathBuf,
    },
    /// It lies in the store dir, under a name that no store path has.
    #[error("{path} is no store path")]
    Name {
        /// The path.
        path: PathBuf,
        /// What is wrong with its name.
        source: StorePathError,
    },
    /// Links lead round in a circle.
    #[error("{0} leads through too many links")]
    Loop(PathBuf),
}

/// Finds the store path that `argument` is, lies in, or leads to by links (`result`, a profile, a file in a package).
///
/// Links are followed only until they enter the store: a store path that is itself a link is what is meant, not its target.
///
/// # Errors
/// It does not exist, or is not in the store.
pub fn resolve(place: &StorePlace, working_dir: &Path, argument: &Path) -> Result<StorePath, ResolveError> {
    let mut left: VecDeque<OsString> = parts(argument);
    let mut here = if argument.is_absolute() { PathBuf::from("/") } else { working_dir.to_owned() };
    if !argument.is_absolute() {
        // The working dir itself may lie in the store.
        let mut whole = parts(working_dir);
        whole.append(&mut left);
        (left, here) = (whole, PathBuf::from("/"));
    }
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        if here == Path::new(place.store_dir().as_str()) || here == place.folder() {
            let path = here.join(&part);
            let name = part.to_string_lossy();
            return name.parse().map_err(|source| ResolveError::Name { path, source });
        }
        here.push(&part);
        let read = |source| ResolveError::Read { path: here.clone(), source };
        let is_link = match here.symlink_metadata() {
            Ok(metadata) => metadata.is_symlink(),
            // The store dir need not exist here under its own name when the store has another root.
            Err(_) if Path::new(place.store_dir().as_str()).starts_with(&here) => false,
            Err(source) => return Err(read(source)),
        };
        if is_link {
            links += 1;
            if links > MAX_LINKS {
                return Err(ResolveError::Loop(argument.to_owned()));
            }
            let target = here.read_link().map_err(read)?;
            here.pop();
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            let mut rest = parts(&target);
            rest.append(&mut left);
            left = rest;
        }
    }
    Err(ResolveError::NotInStore { argument: argument.to_owned(), leads_to: here })
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NAME: &str = "ab3li50xq0nl4q5lxdyinb8w8y13my9s-hello";

    /// A store under a root of its own, with one package in it.
    fn store() -> (tempfile::TempDir, StorePlace) {
        let root = tempfile::tempdir().unwrap();
        let place = StorePlace::new(None, Some(root.path().to_str().unwrap())).unwrap();
        std::fs::create_dir_all(place.folder().join(NAME).join("bin")).unwrap();
        symlink("bin", place.folder().join(NAME).join("sbin")).unwrap();
        (root, place)
    }

    #[test]
    fn links_are_followed_into_the_store_and_no_further() {
        let (root, place) = store();
        let work = root.path().join("work");
        std::fs::create_dir(&work).unwrap();
        symlink(place.folder().join(NAME), work.join("result")).unwrap();
        symlink(format!("/nix/store/{NAME}"), work.join("logical")).unwrap();
        symlink("result/bin", work.join("indirect")).unwrap();
        symlink("./work", root.path().join("other")).unwrap();
        let found = |argument: &str| resolve(&place, &work, Path::new(argument)).unwrap().to_string();
        for argument in
            ["result", "./result", "result/sbin/x", "logical", "indirect", "../other/result", "../work/./indirect"]
        {
            assert_eq!(found(argument), NAME, "{argument}");
        }
        assert_eq!(found(&format!("/nix/store/{NAME}/share/doc")), NAME);
        assert_eq!(resolve(&place, &place.folder().join(NAME), Path::new("bin")).unwrap().to_string(), NAME);
    }

    #[test]
    fn what_leads_nowhere_is_said() {
        let (root, place) = store();
        symlink("loop", root.path().join("loop")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let error = |argument: &str| resolve(&place, root.path(), Path::new(argument)).unwrap_err();
        assert!(matches!(error("absent"), ResolveError::Read { .. }));
        assert!(matches!(error("file"), ResolveError::NotInStore { .. }));
        assert!(matches!(error("loop"), ResolveError::Loop(_)));
        assert!(matches!(error("/nix/store"), ResolveError::NotInStore { .. }));
        assert!(matches!(error("/nix/store/x"), ResolveError::Name { .. }));
        assert!(matches!(error("/etc/passwd"), ResolveError::NotInStore { .. }));
    }
}
