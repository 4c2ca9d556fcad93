//! `[database]`: where the index is.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::{ConfigError, Environment, Secret};

/// `[database]`
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Database {
    /// Which database.
    pub url: DatabaseUrl,
    /// Whether connections are kept alive by asking.
    pub heartbeat: bool,
}

/// `[database]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct DatabaseFile {
    url: Option<Secret>,
    heartbeat: bool,
}

/// A database.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// SQLite in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server; the URL may hold a password.
    Postgres(Secret),
}

/// A text that is no URL of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither `sqlite:` nor `postgresql:`.
    #[error("a database URL starts with sqlite:// or postgresql://")]
    Scheme,
    /// An index in memory would forget every path that is stored.
    #[error("the index cannot be kept in memory: name a file, sqlite:///path?mode=rwc")]
    InMemory,
    /// No file is named, or one that is no text.
    #[error("the URL names no file: write sqlite:///path?mode=rwc")]
    NoFile,
    /// A parameter other than `mode=rwc` or `mode=rw`.
    #[error("a sqlite URL has no parameter but mode=rwc or mode=rw")]
    Parameter,
    /// Not a URL at all.
    #[error("the URL is malformed")]
    Malformed,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(DatabaseUrlError::Scheme)?;
        match scheme {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => match Url::parse(text) {
                // By a name or, for a socket, as a parameter.
                Ok(url) if url.has_host() || url.query_pairs().any(|(key, _)| key == "host") => {
                    Ok(Self::Postgres(text.to_owned().into()))
                }
                _ => Err(DatabaseUrlError::Malformed),
            },
            _ => Err(DatabaseUrlError::Scheme),
        }
    }
}

/// Reads what comes after `sqlite:`: `///absolute`, `//relative`, or either without the two slashes.
fn sqlite(rest: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
    let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let file = file.strip_prefix("//").unwrap_or(file);
    if file == ":memory:" || parameters.split('&').any(|p| p == "mode=memory") {
        return Err(DatabaseUrlError::InMemory);
    }
    if !parameters.split('&').all(|p| matches!(p, "" | "mode=rwc" | "mode=rw")) {
        return Err(DatabaseUrlError::Parameter);
    }
    let file = percent_decode_str(file).decode_utf8().map_err(|_| DatabaseUrlError::NoFile)?;
    match file.as_ref() {
        "" => Err(DatabaseUrlError::NoFile),
        file => Ok(DatabaseUrl::Sqlite(file.into())),
    }
}

/// The URL without its password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}?mode=rwc", path.display()),
            Self::Postgres(url) => match Url::parse(url.expose()) {
                Ok(mut url) => {
                    if url.password().is_some() && url.set_password(Some("secret")).is_err() {
                        return f.write_str("postgresql:");
                    }
                    if url.query_pairs().any(|(key, _)| key == "password") {
                        let shown: Vec<_> =
                            url.query_pairs().into_owned().filter(|(key, _)| key != "password").collect();
                        url.query_pairs_mut().clear().extend_pairs(shown);
                    }
                    f.write_str(url.as_str())
                }
                Err(_) => f.write_str("postgresql:"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Database {
    /// `ATTIC_SERVER_DATABASE_URL`, else the file's, else `DATABASE_URL` (which others use too, so that it goes last), else
    /// SQLite in the data folder.
    pub(super) fn complete(
        file: DatabaseFile,
        environment: &Environment,
        in_data_dir: impl FnOnce(&str) -> Result<PathBuf, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let given = |origin, url: Option<String>| url.map(|url| (origin, url));
        let sources = [
            given("ATTIC_SERVER_DATABASE_URL", environment.text("ATTIC_SERVER_DATABASE_URL")?),
            given("database.url", file.url.map(|url| url.expose().to_owned())),
            given("DATABASE_URL", environment.text("DATABASE_URL")?),
        ];
        let url = match sources.into_iter().flatten().next() {
            Some((origin, url)) => url.parse().map_err(|source| ConfigError::DatabaseUrl { origin, source })?,
            None => DatabaseUrl::Sqlite(in_data_dir("index.sqlite")?),
        };
        Ok(Self { url, heartbeat: file.heartbeat })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_urls_name_files() {
        for (url, file) in [
            ("sqlite:///var/lib/x.db?mode=rwc", "/var/lib/x.db"),
            ("sqlite://x.db", "x.db"),
            ("sqlite:x.db?mode=rw", "x.db"),
            ("sqlite:/a%20b.db", "/a b.db"),
        ] {
            assert_eq!(url.parse(), Ok(DatabaseUrl::Sqlite(file.into())), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        use DatabaseUrlError::{InMemory, Malformed, NoFile, Parameter, Scheme};
        for (url, error) in [
            ("sqlite::memory:", InMemory),
            ("sqlite://:memory:", InMemory),
            ("sqlite://x?mode=memory", InMemory),
            ("sqlite://", NoFile),
            ("sqlite:///x?mode=ro", Parameter),
            ("mysql://h/x", Scheme),
            ("/var/lib/x.db", Scheme),
            ("postgresql:x", Malformed),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>(), Err(error), "{url}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let url: DatabaseUrl = "postgresql://attic:hush%40@pg.example/attic?sslmode=require".parse().unwrap();
        assert_eq!(url.to_string(), "postgresql://attic:secret@pg.example/attic?sslmode=require");
        assert!(!format!("{url:?}").contains("hush"));
        let url: DatabaseUrl = "postgresql:///attic?host=/run/postgresql&user=attic&password=hush".parse().unwrap();
        assert_eq!(url.to_string(), "postgresql:///attic?host=%2Frun%2Fpostgresql&user=attic");
    }
}
