//! Where a server under measurement keeps its index and its bytes.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use bucket::{ACCESS_KEY_ID, BUCKET, Garage, REGION, SECRET_ACCESS_KEY, Service};
use tempfile::TempDir;

/// What a server has below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// SQLite and a folder.
    Local,
    /// PostgreSQL and a folder.
    Postgres,
    /// SQLite and a bucket.
    S3,
    /// PostgreSQL and a bucket.
    PostgresS3,
}

impl Backend {
    /// What it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "ours",
            Self::Postgres => "ours on PostgreSQL",
            Self::S3 => "ours on S3",
            Self::PostgresS3 => "ours on PostgreSQL and S3",
        }
    }
}

/// The services that places are made on, started when they are first needed; they end when this is dropped.
#[derive(Debug)]
pub struct Services {
    scratch: PathBuf,
    bucket: Option<Buckets>,
    places: u32,
}

impl Services {
    /// Services whose folders are below `scratch`.
    #[must_use]
    pub fn new(scratch: &Path) -> Self {
        Self { scratch: scratch.to_owned(), bucket: None, places: 0 }
    }

    /// A place that nobody has used: a database of its own, and a prefix of its own in a bucket.
    ///
    /// PostgreSQL is the server that `FLYWHEEL_TEST_POSTGRES` names, as `scripts/postgres` sets it, else one that is started for this
    /// process. The bucket is that of Garage, if `GARAGE` names its program, else of a service in this process.
    ///
    /// # Errors
    /// A folder cannot be made.
    ///
    /// # Panics
    /// If PostgreSQL or the service do not start.
    pub fn place(&mut self, backend: Backend) -> anyhow::Result<Place> {
        let (on_postgres, in_bucket) = match backend {
            Backend::Local => (false, false),
            Backend::Postgres => (true, false),
            Backend::S3 => (false, true),
            Backend::PostgresS3 => (true, true),
        };
        let database = on_postgres.then(scratch::Database::new);
        let bucket = in_bucket.then(|| self.bucket()).transpose()?;
        Ok(Place { database, bucket })
    }

    fn bucket(&mut self) -> anyhow::Result<Bucket> {
        let buckets = match self.bucket.take() {
            Some(buckets) => buckets,
            None => Buckets::start(&self.scratch)?,
        };
        self.places += 1;
        let bucket = buckets.part(format!("bench-{}", self.places));
        self.bucket = Some(buckets);
        Ok(bucket)
    }
}

/// A service with a bucket.
enum Buckets {
    Garage(Garage),
    // The folder goes after the service.
    Own(Box<Service>, TempDir),
}

impl Buckets {
    fn start(scratch: &Path) -> anyhow::Result<Self> {
        Ok(match Garage::program() {
            Some(program) => Self::Garage(Garage::start(&program, 1)),
            None => {
                let folder = tempfile::Builder::new().prefix("flywheel-bench-s3-").tempdir_in(scratch)?;
                Self::Own(Box::new(Service::start(folder.path())), folder)
            }
        })
    }

    fn part(&self, prefix: String) -> Bucket {
        match self {
            Self::Garage(garage) => Bucket { endpoint: garage.endpoint(0), prefix, files: None },
            Self::Own(service, _) => {
                let files = Some(service.objects().join(&prefix));
                Bucket { endpoint: service.endpoint(), prefix, files }
            }
        }
    }
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garage(garage) => garage.fmt(f),
            Self::Own(service, folder) => write!(f, "{} in {}", service.endpoint(), folder.path().display()),
        }
    }
}

/// A place for one server; a database goes when this is dropped.
#[derive(Debug, Default)]
pub struct Place {
    database: Option<scratch::Database>,
    bucket: Option<Bucket>,
}

impl Place {
    /// What the server's configuration says of it.
    #[must_use]
    pub fn config(&self) -> String {
        let Some(Bucket { endpoint, prefix, .. }) = &self.bucket else { return String::new() };
        format!(
            "[storage]\ntype = \"s3\"\nregion = \"{REGION}\"\nbucket = \"{BUCKET}\"\nendpoint = \"{endpoint}\"\n\
             [storage.credentials]\naccess_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n\
             [flywheel.s3]\nprefix = \"{prefix}\"\n"
        )
    }

    /// The variables with which the server finds the rest of it.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let url = self.database.as_ref().map(scratch::Database::url);
        url.map(|url| ("ATTIC_SERVER_DATABASE_URL".to_owned(), url)).into_iter().collect()
    }

    /// The folder that has the objects as files, if they are not in `data`; none if nobody knows one.
    #[must_use]
    pub fn objects(&self, data: &Path) -> Option<PathBuf> {
        match &self.bucket {
            None => Some(data.join("store/objects")),
            Some(bucket) => bucket.files.clone(),
        }
    }
}

/// A part of a bucket.
#[derive(Debug)]
struct Bucket {
    endpoint: String,
    prefix: String,
    /// Where its objects are as files.
    files: Option<PathBuf>,
}
