//! The files that chunks are in.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::AtticBuckets;
use crate::{Body, Error, Result, folder};

/// Where Attic says that a chunk lies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum RemoteFile {
    /// In a folder.
    Local {
        /// The name of the file.
        name: String,
    },
    /// In a bucket.
    S3 {
        /// The region.
        region: String,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Somewhere else; only Attic's own tests do that.
    Http {
        /// Where.
        url: String,
    },
}

/// The storage of a deployment: a folder, or a bucket.
#[derive(Debug, Clone)]
pub enum AtticFiles {
    /// Files in a folder.
    Folder(PathBuf),
    /// Objects in buckets.
    Buckets(AtticBuckets),
}

impl AtticFiles {
    /// The files in this folder.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn open(folder: &Path) -> Result<Self> {
        match std::fs::metadata(folder) {
            Ok(about) if about.is_dir() => Ok(Self::Folder(folder.to_owned())),
            Ok(_) => Err(Error::Gone(folder.display().to_string())),
            Err(source) => Err(Error::File { path: folder.to_owned(), source }),
        }
    }

    /// The objects in the bucket that the options name, and in others of the same service if rows name them.
    ///
    /// # Errors
    /// If the bucket is not there, or may not be read.
    pub async fn open_bucket(options: s3::Options) -> Result<Self> {
        Ok(Self::Buckets(AtticBuckets::open(options).await?))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If it is not there, or in another kind of storage.
    pub async fn read(&self, file: &RemoteFile) -> Result<Body> {
        match (self, file) {
            (Self::Folder(folder), RemoteFile::Local { name }) => read(folder, name).await,
            (Self::Buckets(buckets), RemoteFile::S3 { region, bucket, key }) => buckets.read(region, bucket, key).await,
            (_, RemoteFile::Local { name }) => Err(Error::Elsewhere(format!("the file {name}"))),
            (_, RemoteFile::S3 { bucket, .. }) => Err(Error::Elsewhere(format!("the bucket {bucket}"))),
            (_, RemoteFile::Http { url }) => Err(Error::Elsewhere(url.clone())),
        }
    }
}

/// The bytes of a file: in folders by the first one and two characters of its name or, from before there were any, beside them.
async fn read(folder: &Path, name: &str) -> Result<Body> {
    // The name is a row's word: it must not lead out of the folder.
    let is_plain = name.len() > 2 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_plain || name.starts_with('.') {
        return Err(Error::Row { table: "chunk", what: format!("{name:?} is no name of a file") });
    }
    match folder::read(&folder.join(&name[..1]).join(&name[..2]).join(name)).await {
        Err(Error::Gone(_)) => folder::read(&folder.join(name)).await,
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn files_are_found_in_either_layout_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("store/a/ab")).unwrap();
        std::fs::write(folder.path().join("store/a/ab/abc.chunk"), "new").unwrap();
        std::fs::write(folder.path().join("store/old.nar"), "old").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        let files = AtticFiles::open(&folder.path().join("store")).unwrap();
        let read = async |json: &str| {
            let body = files.read(&serde_json::from_str(json).unwrap()).await?;
            let bytes: Vec<bytes::Bytes> = body.try_collect().await.unwrap();
            Ok::<_, Error>(String::from_utf8(bytes.concat()).unwrap())
        };
        assert_eq!(read(r#"{"Local":{"name":"abc.chunk"}}"#).await.unwrap(), "new");
        assert_eq!(read(r#"{"Local":{"name":"old.nar"}}"#).await.unwrap(), "old");
        assert!(matches!(read(r#"{"Local":{"name":"none.chunk"}}"#).await, Err(Error::Gone(_))));
        for bad in ["../secret", "..", "a/ab/abc.chunk", "", "/etc/passwd"] {
            let json = format!(r#"{{"Local":{{"name":"{bad}"}}}}"#);
            assert!(matches!(read(&json).await, Err(Error::Row { .. })), "{bad}");
        }
        let s3 = r#"{"S3":{"region":"r","bucket":"b","key":"k"}}"#;
        assert!(matches!(read(s3).await, Err(Error::Elsewhere(_))));
    }
}
