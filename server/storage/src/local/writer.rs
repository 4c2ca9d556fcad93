//! Writing: a file in `tmp/` that becomes an object in one step.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Inner, LocalStorage};
use crate::{Error, Key, Result, Writer};

/// A file in `tmp/`; it is removed when this is dropped, unless it has become an object.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Unfinished {
    pub(super) fn create(inner: &Inner) -> Result<Self> {
        let number = inner.next_unfinished.fetch_add(1, Ordering::Relaxed);
        let path = inner.unfinished.join(format!("{}{number}", inner.unfinished_prefix));
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.file.write_all(bytes)?)
    }

    /// Makes the file the object `key`, durably.
    pub(super) fn publish(self, inner: &Inner, key: &Key) -> Result<()> {
        self.file.sync_all()?;
        let target = inner.path(key);
        let folder = target.parent().unwrap_or(&inner.objects);
        inner.folders.ensure(folder)?;
        if let Err(e) = fs::rename(&self.path, &target) {
            if e.kind() != io::ErrorKind::NotFound {
                return Err(e.into());
            }
            // Somebody has tidied away an empty directory behind our back.
            inner.folders.forget();
            inner.folders.ensure(folder)?;
            fs::rename(&self.path, &target)?;
        }
        inner.handles.forget(key);
        File::open(folder)?.sync_all()?;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After `publish` there is no such file. One that cannot be removed now is swept when the folder is next opened.
        let _ = fs::remove_file(&self.path);
    }
}

/// An object that is being written in pieces.
pub(super) struct LocalWriter {
    storage: LocalStorage,
    key: Key,
    /// Shared with the thread that writes; `None` after a write that failed.
    unfinished: Arc<Mutex<Option<Unfinished>>>,
    /// Whether a write was begun and not seen to succeed.
    is_interrupted: bool,
}

impl LocalWriter {
    pub(super) fn new(storage: LocalStorage, key: Key, unfinished: Unfinished) -> Self {
        Self { storage, key, unfinished: Arc::new(Mutex::new(Some(unfinished))), is_interrupted: false }
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { key: self.key.clone() }
    }
}

#[async_trait]
impl Writer for LocalWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.is_interrupted {
            return Err(self.interrupted());
        }
        self.is_interrupted = true;
        let unfinished = Arc::clone(&self.unfinished);
        let write = move |_: &Inner| {
            let mut unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            unfinished.as_mut().map_or(Ok(()), |u| u.append(&bytes)).inspect_err(|_| *unfinished = None)
        };
        self.storage.blocking(write).await?;
        self.is_interrupted = false;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(unfinished), false) = (unfinished, self.is_interrupted) else {
            return Err(self.interrupted());
        };
        let key = self.key.clone();
        self.storage.blocking(move |inner| unfinished.publish(inner, &key)).await
    }
}
