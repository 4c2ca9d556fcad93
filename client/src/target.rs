//! Which cache on which server, with which token.

use std::fmt;

use client::api::{Api, IdentitySource, Settings};
use protocol::CacheName;
use url::Url;

use crate::{
    config::{CONFIG_FILE, Config, read_token},
    environment::Environment,
    failure,
    output::Failure,
};

/// How to reach a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Server {
    endpoint: Url,
    token: Option<String>,
    /// What to exchange for a token, if there is none.
    identity: Option<IdentitySource>,
}

impl Server {
    /// Finds the server of that name in the configuration file; if none is named, `ATTIC_SERVER`, or else the file's default.
    pub(crate) fn find(name: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let config = Config::read(&environment.config_file(CONFIG_FILE)?)?;
        let (endpoint, token) = match (name, environment.server.as_deref()) {
            (Some(name), _) => named(&config, name, environment)?,
            (None, Some(endpoint)) => from_environment(&config, endpoint, environment)?,
            (None, None) => named(&config, default_server(&config)?, environment)?,
        };
        // An identity is for the server in the environment, as a token there would be.
        let identity = environment.identity.clone().filter(|_| {
            let own = environment.server.as_deref();
            token.is_none() && own.is_none_or(|own| own.trim_end_matches('/') == endpoint.trim_end_matches('/'))
        });
        Ok(Self { endpoint: parse_endpoint(&endpoint)?, token, identity })
    }

    /// The server, ready to be asked.
    pub(crate) fn api(self) -> Result<Api, Failure> {
        let mut settings = Settings::new(self.endpoint, self.token);
        settings.identity = self.identity;
        Api::new(settings).map_err(|error| failure::api(&error))
    }
}

/// A cache and how to reach its server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) cache: CacheName,
    pub(crate) endpoint: Url,
    pub(crate) token: Option<String>,
    /// What to exchange for a token, if there is none.
    pub(crate) identity: Option<IdentitySource>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.cache, self.endpoint)
    }
}

impl Target {
    /// Finds the cache that `[SERVER:]CACHE` means, or that `ATTIC_CACHE` names if nothing is given.
    ///
    /// A server that is named is looked up in the configuration file. One that is not is `ATTIC_SERVER`, or else the file's
    /// default. So CI needs no login, and a person who asks for a server gets that one.
    pub(crate) fn find(given: Option<&str>, environment: &Environment) -> Result<Self, Failure> {
        let given = given.or(environment.cache.as_deref()).ok_or_else(|| {
            Failure::usage("no cache is named").hint("name one as CACHE or SERVER:CACHE, or set ATTIC_CACHE")
        })?;
        let (server, cache) = match given.split_once(':') {
            Some((server, cache)) => (Some(server), cache),
            None => (None, given),
        };
        let cache = cache.parse().map_err(|error| Failure::usage(format!("{cache:?} is no cache name: {error}")))?;
        let Server { endpoint, token, identity } = Server::find(server, environment)?;
        Ok(Self { cache, endpoint, token, identity })
    }

    /// The server, ready to be asked.
    pub(crate) fn api(&self, adjust: impl FnOnce(&mut Settings)) -> Result<Api, Failure> {
        let mut settings = Settings::new(self.endpoint.clone(), self.token.clone());
        settings.identity.clone_from(&self.identity);
        adjust(&mut settings);
        Api::new(settings).map_err(|error| failure::api(&error))
    }
}

/// A server's address, checked.
pub(crate) fn parse_endpoint(text: &str) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::usage(format!("{text:?} is no server address: {why}")).hint("such as https://cache.example.org")
    };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it is neither http nor https"));
    }
    if url.host_str().is_none_or(str::is_empty) || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has to be a host, perhaps with a path"));
    }
    Ok(url)
}

fn default_server(config: &Config) -> Result<&str, Failure> {
    if let Some(name) = config.default_server() {
        return Ok(name);
    }
    match config.names()[..] {
        [only] => Ok(only),
        [] => {
            Err(Failure::usage("no server is known").hint("log in with `login NAME URL [TOKEN]`, or set ATTIC_SERVER"))
        }
        [..] => Err(Failure::usage("no server is named, and none is the default").hint("name one as SERVER:CACHE")),
    }
}

fn named(config: &Config, name: &str, environment: &Environment) -> Result<(String, Option<String>), Failure> {
    let server = config.server(name).ok_or_else(|| {
        let known = config.names().join(", ");
        let hint = if known.is_empty() {
            "log in with `login NAME URL [TOKEN]`".to_owned()
        } else {
            format!("known are: {known}")
        };
        Failure::usage(format!("no server is called {name:?}")).hint(hint)
    })?;
    let token = match server.token()? {
        Some(token) => Some(token),
        // The token in the environment belongs to the server in the environment: no other gets to see it.
        None => match environment.server.as_deref() {
            Some(other) if other.trim_end_matches('/') != server.endpoint.trim_end_matches('/') => None,
            Some(_) | None => environment_token(environment)?,
        },
    };
    Ok((server.endpoint, token))
}

fn from_environment(
    config: &Config,
    endpoint: &str,
    environment: &Environment,
) -> Result<(String, Option<String>), Failure> {
    let token = match environment_token(environment)? {
        Some(token) => Some(token),
        None => config.server_at(endpoint).map(|server| server.token()).transpose()?.flatten(),
    };
    Ok((endpoint.to_owned(), token))
}

fn environment_token(environment: &Environment) -> Result<Option<String>, Failure> {
    match (&environment.token, &environment.token_file) {
        (Some(token), _) => Ok(Some(token.clone())),
        (None, Some(path)) => read_token(path),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "default-server = \"a\"\n[servers.a]\nendpoint = \"http://a/\"\ntoken = \"a-token\"\n\
        [servers.b]\nendpoint = \"http://b\"\n";

    struct Setup(tempfile::TempDir, Environment);

    impl Setup {
        fn new(config: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let environment = Environment { config_home: Some(folder.path().to_owned()), ..Environment::default() };
            let path = folder.path().join(CONFIG_FILE);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, config).unwrap();
            Self(folder, environment)
        }

        fn with(mut self, change: impl FnOnce(&mut Environment)) -> Self {
            change(&mut self.1);
            self
        }

        /// `cache endpoint token` of what is found.
        fn find(&self, given: Option<&str>) -> String {
            match Target::find(given, &self.1) {
                Ok(target) => format!("{} {} {}", target.cache, target.endpoint, target.token.unwrap_or_default()),
                Err(failure) => failure.message,
            }
        }
    }

    #[test]
    fn the_configuration_file_answers_when_the_environment_says_nothing() {
        let setup = Setup::new(CONFIG);
        assert_eq!(setup.find(Some("main")), "main http://a/ a-token");
        assert_eq!(setup.find(Some("b:main")), "main http://b/ ");
        assert_eq!(setup.find(Some("c:main")), "no server is called \"c\"");
        assert_eq!(setup.find(None), "no cache is named");
        assert_eq!(Setup::new("").find(Some("main")), "no server is known");
        assert!(setup.find(Some("a:../x")).contains("no cache name"));
    }

    #[test]
    fn the_environment_needs_no_login() {
        let setup = Setup::new("").with(|e| {
            e.server = Some("http://env:8080".into());
            e.cache = Some("ci".into());
            e.token = Some("env-token".into());
        });
        assert_eq!(setup.find(None), "ci http://env:8080/ env-token");
        assert_eq!(setup.find(Some("main")), "main http://env:8080/ env-token");
    }

    #[test]
    fn tokens_come_from_files_and_from_a_login_to_the_same_server() {
        let setup = Setup::new(CONFIG).with(|e| e.server = Some("http://a".into()));
        assert_eq!(setup.find(Some("main")), "main http://a/ a-token");
        let file = setup.0.path().join("token");
        std::fs::write(&file, "file-token\n").unwrap();
        let setup = setup.with(|e| e.token_file = Some(file));
        assert_eq!(setup.find(Some("main")), "main http://a/ file-token");
        let setup = setup.with(|e| e.token_file = Some("/absent".into()));
        assert!(setup.find(Some("main")).contains("/absent is not there"));
    }

    #[test]
    fn the_environments_token_goes_to_no_other_server() {
        let setup = Setup::new(CONFIG).with(|e| e.token = Some("env-token".into()));
        assert_eq!(
            setup.find(Some("b:main")),
            "main http://b/ env-token",
            "no server in the environment: meant for ours"
        );
        let setup = setup.with(|e| e.server = Some("http://env".into()));
        assert_eq!(setup.find(Some("b:main")), "main http://b/ ");
        assert_eq!(setup.find(Some("a:main")), "main http://a/ a-token");
    }

    #[test]
    fn addresses_are_checked() {
        for bad in ["", "cache.example.org", "ftp://x", "http://", "http://x/?y", "http://x/#y"] {
            assert!(parse_endpoint(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_endpoint("http://x:1/under").unwrap().as_str(), "http://x:1/under");
    }
}
