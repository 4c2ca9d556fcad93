//! Attic's configuration file: which servers there are, and the tokens for them.
//!
//! It may be written by hand, by Attic's own client, or by us; keys that we do not know stay in it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    file::{self, Secrecy},
    output::{ExitStatus, Failure},
};

/// Where the file is, under the configuration folder.
pub(crate) const CONFIG_FILE: &str = "attic/config.toml";

/// The file's contents.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Config(Table);

/// A server that the file names.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Server {
    pub(crate) endpoint: String,
    token: Option<String>,
    token_file: Option<PathBuf>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Server {
    /// The token, from the file that holds it if it is not given itself.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        match (&self.token, &self.token_file) {
            (Some(token), _) if !token.trim().is_empty() => Ok(Some(token.trim().to_owned())),
            (_, Some(path)) => read_token(path),
            (_, None) => Ok(None),
        }
    }
}

/// The token in a file; nothing if the file is empty.
pub(crate) fn read_token(path: &Path) -> Result<Option<String>, Failure> {
    match file::read(path)? {
        Some(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        None => Err(Failure::new(ExitStatus::Failed, format!("the token file {} is not there", path.display()))),
    }
}

impl Config {
    /// Reads the file; empty if there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        match file::read(path)? {
            None => Ok(Self::default()),
            Some(text) => Self::parse(&text)
                .map_err(|why| Failure::new(ExitStatus::Failed, format!("{} cannot be read: {why}", path.display()))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let config = Self(table);
        config.servers().try_for_each(|(_, server)| server.map(drop))?;
        Ok(config)
    }

    /// Writes the file, readable by its owner only.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        file::write(path, &self.0.to_string(), Secrecy::Secret)
    }

    /// The server of that name.
    pub(crate) fn server(&self, name: &str) -> Option<Server> {
        self.servers().find(|(known, _)| *known == name)?.1.ok()
    }

    /// The server at that address, whatever its name.
    pub(crate) fn server_at(&self, endpoint: &str) -> Option<Server> {
        let same = |server: &Server| server.endpoint.trim_end_matches('/') == endpoint.trim_end_matches('/');
        self.servers().filter_map(|(_, server)| server.ok()).find(same)
    }

    /// The server to use when none is named.
    pub(crate) fn default_server(&self) -> Option<&str> {
        self.0.get("default-server")?.as_str()
    }

    /// The names of all servers.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.servers().map(|(name, _)| name).collect()
    }

    /// Remembers a server. A token that is not given stays as it was, but never follows to another address.
    ///
    /// The first server becomes the default.
    pub(crate) fn log_in(&mut self, name: &str, endpoint: &str, token: Option<&str>, set_default: bool) {
        let servers = self.0.entry("servers").or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(servers) = servers {
            let server = servers.entry(name).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(server) = server {
                let old = server.insert("endpoint".to_owned(), endpoint.into());
                let moved = old.is_some_and(|old| old.as_str() != Some(endpoint));
                if moved || token.is_some() {
                    server.remove("token");
                    server.remove("token-file");
                }
                if let Some(token) = token {
                    server.insert("token".to_owned(), token.into());
                }
            }
        }
        if set_default || self.default_server().is_none() {
            self.0.insert("default-server".to_owned(), name.into());
        }
    }

    fn servers(&self) -> impl Iterator<Item = (&str, Result<Server, String>)> {
        let servers = self.0.get("servers").and_then(Value::as_table).into_iter().flatten();
        servers.map(|(name, server)| {
            let read = |error: toml::de::Error| format!("servers.{name}: {}", error.message());
            (name.as_str(), server.clone().try_into().map_err(read))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_written_by_hand_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, "from-file\n").unwrap();
        let text = format!(
            "default-server = \"a\"\n[servers.a]\nendpoint = \"http://a/\"\ntoken = \"t\"\n\
             [servers.b]\nendpoint = \"http://b\"\ntoken-file = {token_file:?}\n[servers.c]\nendpoint = \"http://c\"\n"
        );
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.default_server(), Some("a"));
        assert_eq!(config.names(), ["a", "b", "c"]);
        let token = |name| config.server(name).unwrap().token().unwrap();
        assert_eq!((token("a"), token("b"), token("c")), (Some("t".into()), Some("from-file".into()), None));
        assert_eq!(config.server_at("http://a").unwrap().endpoint, "http://a/");
        assert!(config.server("d").is_none() && config.server_at("http://d").is_none());
    }

    #[test]
    fn malformed_files_are_errors_that_name_the_place() {
        assert!(Config::parse("default-server =").is_err());
        assert!(Config::parse("[servers.a]\ntoken = \"t\"").unwrap_err().contains("servers.a"));
    }

    #[test]
    fn logging_in_keeps_the_rest_and_the_file_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONFIG_FILE);
        let mut config =
            Config::parse("future = 1\n[servers.a]\nendpoint = \"http://a\"\ntoken = \"t\"\nx = 2").unwrap();
        config.log_in("a", "http://a", None, false);
        assert_eq!(config.server("a").unwrap().token().unwrap().as_deref(), Some("t"), "the token stays");
        assert_eq!(config.default_server(), Some("a"));
        config.log_in("b", "http://b", Some("u"), false);
        assert_eq!(config.default_server(), Some("a"));
        config.log_in("b", "http://b", None, true);
        config.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        let read = Config::read(&path).unwrap();
        assert_eq!(read, config);
        assert_eq!(read.default_server(), Some("b"));
        assert!(read.0.contains_key("future") && read.0["servers"]["a"].get("x").is_some());
    }

    #[test]
    fn a_token_does_not_follow_to_another_address() {
        let mut config = Config::parse("[servers.a]\nendpoint = \"http://a\"\ntoken = \"t\"").unwrap();
        config.log_in("a", "http://elsewhere", None, false);
        assert_eq!(config.server("a").unwrap().token().unwrap(), None);
    }
}
