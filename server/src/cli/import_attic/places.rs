//! Where Attic keeps its rows and its chunks.

use std::{path::PathBuf, str::FromStr};

use source::attic::{AtticDatabase, AtticFiles};
use url::Url;

use super::{Failure, ImportAtticArgs};
use crate::{
    config::{self, Config, DatabaseUrl, Environment, ReadCache, S3, S3Tuning, Sources},
    import::{ImportError, attic::Attic},
    run::bucket_options,
};

/// The region of a bucket for which none is said: what services in one's own house mostly take.
const USUAL_REGION: &str = "us-east-1";

/// Attic's storage, as an argument says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StoragePlace {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Box<Bucket>),
}

/// A bucket, and how it is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    settings: S3,
    tuning: S3Tuning,
}

/// A text that names no storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("it is no URL: write s3://bucket?region=…&endpoint=http://host:port, or a folder")]
    Url,
    #[error("Attic's storage is a folder or an s3:// URL, and this begins with {0}://")]
    Scheme(String),
    #[error("the URL names no bucket: write s3://bucket, with nothing but ?region=…&endpoint=…&path-style=… behind it")]
    Bucket,
    #[error("{0:?} is none of region, endpoint and path-style")]
    Parameter(String),
    #[error("path-style is true or false, not {0:?}")]
    PathStyle(String),
    #[error(transparent)]
    Settings(#[from] config::S3Problem),
}

impl FromStr for StoragePlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        if scheme != "s3" {
            return Err(PlaceError::Scheme(scheme.to_owned()));
        }
        let url: Url = text.parse().map_err(|_| PlaceError::Url)?;
        let is_plain = matches!(url.path(), "" | "/") && url.port().is_none() && url.username().is_empty();
        let name = url.host_str().filter(|name| is_plain && !name.is_empty()).ok_or(PlaceError::Bucket)?;
        let (region, endpoint, cache) = (USUAL_REGION.to_owned(), None, ReadCache::default());
        let mut settings = S3 { region, bucket: name.to_owned(), endpoint, credentials: None, cache };
        let mut tuning = S3Tuning::default();
        for (name, value) in url.query_pairs() {
            match &*name {
                "region" => settings.region = value.into_owned(),
                "endpoint" => settings.endpoint = Some(value.into_owned()),
                "path-style" => {
                    let style = value.parse().map_err(|_| PlaceError::PathStyle(value.into_owned()))?;
                    tuning.path_style = Some(style);
                }
                _ => return Err(PlaceError::Parameter(name.into_owned())),
            }
        }
        tuning.validate(&settings)?;
        Ok(Self::Bucket(Box::new(Bucket { settings, tuning })))
    }
}

/// What the arguments and Attic's server.toml say together.
#[derive(Debug)]
pub(super) struct Places {
    database: DatabaseUrl,
    storage: StoragePlace,
}

impl Places {
    /// Puts them together; an argument goes before the file.
    ///
    /// # Errors
    /// If either is not said, or makes no sense.
    pub(super) fn of(args: &ImportAtticArgs) -> Result<Self, Failure> {
        let theirs = args.from.clone().map(read).transpose()?;
        let database = match (&args.database, &theirs) {
            (Some(url), _) => url.clone(),
            (None, Some(config)) => config.database.url.clone(),
            (None, None) => return Err(Failure::usage("say --database, or name Attic's server.toml")),
        };
        let mut storage = match (&args.storage, theirs) {
            (Some(storage), _) => storage.clone(),
            (None, Some(config)) => match config.storage {
                config::Storage::Local { path } => StoragePlace::Folder(path),
                config::Storage::S3(settings) => {
                    // Attic puts nothing before its keys.
                    let tuning = S3Tuning { prefix: String::new(), ..config.flywheel.s3 };
                    StoragePlace::Bucket(Box::new(Bucket { settings, tuning }))
                }
            },
            (None, None) => return Err(Failure::usage("say --storage, or name Attic's server.toml")),
        };
        if let (Some(id), Some(secret)) = (&args.access_key_id_file, &args.secret_access_key_file) {
            let StoragePlace::Bucket(bucket) = &mut storage else {
                return Err(Failure::usage("a key is for a bucket, and Attic's storage is a folder"));
            };
            bucket.settings.credentials = None;
            bucket.tuning.access_key_id_file = Some(id.clone());
            bucket.tuning.secret_access_key_file = Some(secret.clone());
        }
        Ok(Self { database, storage })
    }

    /// Opens both, to read.
    ///
    /// # Errors
    /// If one of them cannot be.
    pub(super) async fn open(&self) -> Result<Attic, Failure> {
        let database = match &self.database {
            DatabaseUrl::Sqlite(file) => AtticDatabase::open_sqlite(file).await,
            DatabaseUrl::Postgres(url) => AtticDatabase::open_postgres(url.expose()).await,
        };
        let database = database.map_err(ImportError::from)?;
        let files = match &self.storage {
            StoragePlace::Folder(folder) => AtticFiles::open(folder),
            StoragePlace::Bucket(bucket) => {
                AtticFiles::open_bucket(bucket_options(&bucket.settings, &bucket.tuning)).await
            }
        };
        Ok(Attic { database, files: files.map_err(ImportError::from)? })
    }
}

/// Attic's configuration. Our own environment says nothing about it.
fn read(file: PathBuf) -> Result<Config, Failure> {
    // What it leaves out would be made up; nothing is read or written there.
    let data_dir = file.parent().map(PathBuf::from);
    let sources =
        Sources { file: Some(file), data_dir, listen: None, log_format: None, environment: Environment::default() };
    Ok(Config::load(&sources)?.config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> Bucket {
        match text.parse() {
            Ok(StoragePlace::Bucket(bucket)) => *bucket,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn folders_and_buckets_are_told_apart() {
        assert_eq!("/var/lib/attic".parse(), Ok(StoragePlace::Folder("/var/lib/attic".into())));
        let plain = bucket("s3://attic");
        assert_eq!((plain.settings.bucket.as_str(), plain.settings.region.as_str()), ("attic", USUAL_REGION));
        assert_eq!((plain.settings.endpoint, plain.tuning.path_style), (None, None));
        let full = bucket("s3://Our_Bucket?region=garage&endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A3900&path-style=false");
        assert_eq!((full.settings.bucket.as_str(), full.settings.region.as_str()), ("Our_Bucket", "garage"));
        assert_eq!(full.settings.endpoint.as_deref(), Some("http://[::1]:3900"));
        assert_eq!(full.tuning.path_style, Some(false));
        let unescaped = bucket("s3://b?endpoint=http://localhost:3900");
        assert_eq!(unescaped.settings.endpoint.as_deref(), Some("http://localhost:3900"));
    }

    #[test]
    fn what_names_no_storage_is_refused() {
        let told = |text: &str| text.parse::<StoragePlace>().unwrap_err();
        assert_eq!(told("gs://b"), PlaceError::Scheme("gs".to_owned()));
        for bad in ["s3://", "s3:///key", "s3://b/prefix", "s3://me@b", "s3://b:80"] {
            assert!(matches!(told(bad), PlaceError::Bucket | PlaceError::Url), "{bad}");
        }
        assert_eq!(told("s3://b?profile=x"), PlaceError::Parameter("profile".to_owned()));
        assert_eq!(told("s3://b?path-style=maybe"), PlaceError::PathStyle("maybe".to_owned()));
        assert!(matches!(told("s3://b?endpoint=garage"), PlaceError::Settings(_)));
    }
}
