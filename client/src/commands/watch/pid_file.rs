//! The file with which scripts find a watcher.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::output::{ExitStatus, Failure};

/// A file with nothing but the process id in it, since scripts do `kill $(cat FILE)`; beside it, where the queue is. Both go
/// when the watcher ends as it should.
#[derive(Debug)]
pub(in crate::commands) struct PidFile(PathBuf);

impl PidFile {
    pub(in crate::commands) fn write(path: PathBuf, queue: &Path) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::new(ExitStatus::Failed, format!("cannot write {}: {error}", path.display()));
        fs::write(beside(&path), format!("{}\n", queue.display())).map_err(failed)?;
        fs::write(&path, format!("{}\n", std::process::id())).map_err(failed)?;
        Ok(Self(path))
    }

    /// The process that wrote the file; none if there is no such file, or half of one.
    pub(in crate::commands) fn pid_of(path: &Path) -> Result<Option<u32>, Failure> {
        Ok(read(path)?.and_then(|text| text.trim().parse().ok()))
    }

    /// The queue of the watcher that wrote the file; none if there is no such file.
    pub(in crate::commands) fn queue_of(path: &Path) -> Result<Option<PathBuf>, Failure> {
        Ok(read(&beside(path))?.map(|text| PathBuf::from(text.trim_end_matches('\n'))))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A file that cannot be removed misleads nobody: the lock of the queue tells whether there is a watcher.
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(beside(&self.0));
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(ExitStatus::Failed, format!("cannot read {}: {error}", path.display()))),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".queue");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_process_and_the_queue_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        assert_eq!((PidFile::queue_of(&path).unwrap(), PidFile::pid_of(&path).unwrap()), (None, None));
        let file = PidFile::write(path.clone(), Path::new("/a queue")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
        assert_eq!(PidFile::pid_of(&path).unwrap(), Some(std::process::id()));
        assert_eq!(PidFile::queue_of(&path).unwrap().as_deref(), Some(Path::new("/a queue")));
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
