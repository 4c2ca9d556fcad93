use std::{cell::Cell, fs, time::Duration};

use protocol::{Claims, FixedClock, Permission, Permissions, Timestamp};
use tempfile::{TempDir, tempdir};

use super::*;
use crate::{auth::TokenKeys, run::Options};

const NOW: Timestamp = Timestamp(1_900_000_000);

/// What Attic's documentation and the deployment have, on a folder and SQLite.
const ATTIC: &str = r#"
listen = "[::]:8080"
[database]
url = "sqlite://DIR/server.db?mode=rwc"
[storage]
type = "local"
path = "DIR/storage"
[jwt.signing]
token-hs256-secret-base64 = "c2VjcmV0IG9mIHRoZSBkZXBsb3ltZW50"
"#;

/// A home with nothing in it, and a file for whoever wants one.
struct World {
    dir: TempDir,
    served: Cell<Option<(Config, Options)>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ended {
    status: ExitStatus,
    data: String,
    notes: String,
}

impl World {
    fn new() -> Self {
        Self { dir: tempdir().unwrap(), served: Cell::new(None) }
    }

    fn file(&self, text: &str) -> String {
        let path = self.dir.path().join("server.toml");
        fs::write(&path, text.replace("DIR", self.dir.path().to_str().unwrap())).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command line; the folder of this world reads DIR in what it says.
    fn run(&self, args: &[&str]) -> Ended {
        let (mut data, mut notes) = (Vec::new(), Vec::new());
        let invocation = Invocation {
            args: args.iter().map(OsString::from).collect(),
            environment: [("HOME", self.dir.path())].into_iter().collect(),
            clock: &FixedClock::new(NOW),
        };
        let serve = |loaded: Loaded, options| {
            self.served.set(Some((loaded.config, options)));
            Ok(())
        };
        let status = invoke(invocation, Output { data: &mut data, notes: &mut notes }, serve);
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(self.dir.path().to_str().unwrap(), "DIR");
        Ended { status, data: text(data), notes: text(notes) }
    }

    /// The data of a run that goes well without a note.
    fn data(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!((ended.status, ended.notes.as_str()), (ExitStatus::Ok, ""), "{args:?}");
        ended.data
    }

    fn keys(&self, file: Option<&str>) -> TokenKeys {
        let environment = [("HOME", self.dir.path())].into_iter().collect();
        let sources = Sources { file: file.map(PathBuf::from), environment, ..Sources::default() };
        let config = Config::load(&sources).unwrap().config;
        TokenKeys::open(&config.jwt, &config.flywheel.tokens).unwrap()
    }

    /// What the token says that a command prints.
    fn token(&self, file: Option<&str>, args: &[&str]) -> Claims {
        self.keys(file).verify(self.data(args).trim_end(), NOW).unwrap()
    }
}

fn may(claims: &Claims, cache: &str) -> String {
    let permissions: Permissions = claims.scope.permissions(&cache.parse().unwrap());
    permissions.iter().map(Permission::short_name).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn without_anything_it_serves_a_public_cache_and_welcomes() {
    let world = World::new();
    assert_eq!(world.data(&["flywheel-server"]), "");
    let (config, options) = world.served.take().unwrap();
    assert_eq!(config.listen.to_string(), "[::]:8080");
    assert!(options.welcome);
    let init = options.init_cache.unwrap();
    assert_eq!((init.name.as_str(), init.is_public), ("main", true));
    assert!(!world.dir.path().join(".local").exists(), "nothing is written before the server starts");
}

#[test]
fn as_atticd_it_serves_a_configuration() {
    let world = World::new();
    let file = world.file(ATTIC);
    for args in [
        &["/bin/atticd", "--config", &file, "--mode", "monolithic", "-l", "127.0.0.1:80"][..],
        &["/bin/atticd", "-f", &file, "--mode", "api-server", "--listen", "127.0.0.1:80"],
        &["flywheel-server", "serve", "-f", &file, "-l", "127.0.0.1:80"],
        &["flywheel-server", "-f", &file, "serve", "-l", "127.0.0.1:80"],
    ] {
        assert_eq!(world.data(args), "");
        let (config, options) = world.served.take().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:80");
        assert!(!options.welcome && options.init_cache.is_none());
    }
    world.data(&["atticd", "-f", &file, "--init-cache", "ci", "--public"]);
    let init = world.served.take().unwrap().1.init_cache.unwrap();
    assert_eq!((init.name.as_str(), init.is_public), ("ci", true));
}

#[test]
fn check_config_shows_what_is_in_effect() {
    let world = World::new();
    let file = world.file(ATTIC);
    let shown = world.data(&["flywheel-server", "check-config", "-f", &file]);
    insta::assert_snapshot!(shown);
    assert_eq!(world.data(&["atticd", "-f", &file, "--mode", "check-config"]), shown);
    // And writes nothing, a secret least of all.
    world.data(&["flywheel-server", "check-config"]);
    assert!(!world.dir.path().join(".local").exists());
}

#[test]
fn check_config_fails_where_the_server_would() {
    let world = World::new();
    let s3 = "[storage]\ntype = \"s3\"\nregion = \"\"\nbucket = \"attic\"\n";
    let ended = world.run(&["flywheel-server", "check-config", "-f", &world.file(s3)]);
    assert_eq!(ended.status, ExitStatus::Failed);
    assert!(ended.data.contains("bucket = \"attic\""), "{}", ended.data);
    assert_eq!(
        ended.notes,
        "error: storage.region is empty\n\
         hint: services in one's own house mostly take \"us-east-1\"; Garage says it in its s3_region\n"
    );
    assert_eq!(world.run(&["flywheel-server", "-f", &world.file(s3)]).notes, ended.notes);
    assert!(world.served.take().is_none());

    let secret = "[jwt.signing]\ntoken-hs256-secret-base64 = \"?\"";
    let ended = world.run(&["flywheel-server", "check-config", "-f", &world.file(secret)]);
    assert_eq!(
        ended.notes,
        "error: the HS256 secret is not base64\nhint: `openssl rand 64 | base64 -w0` makes a secret\n"
    );
}

#[test]
fn mistakes_in_the_configuration_are_told_whole() {
    let world = World::new();
    let ended = world.run(&["flywheel-server", "-f", &world.file("[chunking]\nmin-sise = 1")]);
    let expected = "error: DIR/server.toml, line 2: unknown field `min-sise`, expected one of `nar-size-threshold`, \
                    `min-size`, `avg-size`, `max-size`\n";
    assert_eq!(ended, Ended { status: ExitStatus::Failed, data: String::new(), notes: expected.to_owned() });

    let ended = world.run(&["flywheel-server", "-f", "/nowhere/server.toml"]);
    let expected =
        "error: the configuration /nowhere/server.toml cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(ended.notes, expected);

    let ended = world.run(&["flywheel-server", "check-config", "-f", &world.file("[compression]\ntype = \"none\"")]);
    assert_eq!(ended.status, ExitStatus::Ok);
    assert_eq!(
        ended.notes,
        "warning: compression.type \"none\" is accepted, but chunks are always compressed with zstd\n"
    );
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let world = World::new();
    for args in [
        &["flywheel-server", "--nonsense"][..],
        &["flywheel-server", "nonsense"],
        &["flywheel-server", "--mode", "chaos"],
        &["flywheel-server", "--listen", "here"],
        &["flywheel-server", "--public"],
        &["flywheel-server", "--mode", "api-server", "token", "make"],
        &["flywheel-server", "--init-cache", "a", "serve"],
        &["flywheel-server", "token", "make", "--days", "-1"],
        &["flywheel-server", "token", "make", "--days=-1"],
        &["flywheel-server", "token", "make", "--days", "NaN"],
        &["flywheel-server", "token", "make", "--days", "0"],
        &["flywheel-server", "token", "make", "--days", "1", "--validity", "1d"],
        &["flywheel-server", "token", "make", "--validity", "soon"],
        &["flywheel-server", "token", "make", "--cache", "no/name"],
        &["flywheel-server", "cache", "create", "nar"],
        &["atticadm"],
        &["atticadm", "make-token", "--sub", "x"],
        &["atticadm", "make-token", "--validity", "1d"],
        &[],
    ] {
        // No arguments at all, not even a name, is as none.
        let expected = if args.is_empty() { ExitStatus::Ok } else { ExitStatus::Usage };
        let ended = world.run(args);
        assert_eq!((ended.status, ended.data.as_str()), (expected, ""), "{args:?} {}", ended.notes);
        assert_eq!(ended.notes.is_empty(), args.is_empty(), "{args:?}");
    }
}

#[test]
fn a_token_is_by_default_for_main() {
    let world = World::new();
    let claims = world.token(None, &["flywheel-server", "token", "make"]);
    assert_eq!((claims.sub.as_str(), claims.exp), ("ci-push", NOW.plus(Duration::from_secs(365 * 86400))));
    assert_eq!((claims.nbf, claims.iat), (Some(NOW), Some(NOW)));
    assert_eq!((may(&claims, "main"), may(&claims, "other")), ("r w".to_owned(), String::new()));
    let other = world.token(None, &["flywheel-server", "token", "make"]);
    assert!(claims.jti.is_some() && claims.jti != other.jti, "every token has a name of its own");
}

#[test]
fn tokens_are_made_as_the_deployments_script_makes_them() {
    let world = World::new();
    let make = |args: &[&str]| world.token(None, &[&["flywheel-server", "token", "make"], args].concat());
    let claims = make(&["--sub", "init \"cache\"", "--days", "0.04", "--cache", "a", "--cache", "team-*"]);
    assert_eq!((claims.sub.as_str(), claims.exp), ("init \"cache\"", NOW.plus(Duration::from_secs(3456))));
    assert_eq!(
        (may(&claims, "a"), may(&claims, "team-x"), may(&claims, "main")),
        ("r w".into(), "r w".into(), "".into())
    );
    let claims = make(&["-s", "root", "-d", "1", "--admin"]);
    assert_eq!(may(&claims, "anything"), "r w cc");
    let claims = make(&["--validity", "30d", "--pull", "*", "--push", "main"]);
    assert_eq!((may(&claims, "x"), may(&claims, "main")), ("r".into(), "r w".into()));
    assert_eq!(claims.exp, NOW.plus(Duration::from_secs(30 * 86400)));
}

#[test]
fn tokens_are_made_as_atticadm_makes_them() {
    let world = World::new();
    let file = world.file(ATTIC);
    let args = [
        "atticadm",
        "-f",
        &file,
        "make-token",
        "--sub",
        "alice",
        "--validity",
        "3 months",
        "--pull",
        "dev-*",
        "--push",
        "dev-*",
        "--delete",
        "a",
        "--create-cache",
        "a",
        "--configure-cache",
        "a",
        "--configure-cache-retention",
        "a",
        "--destroy-cache",
        "a",
        "--pull",
        "a",
    ];
    let claims = world.token(Some(&file), &args);
    assert_eq!((claims.sub.as_str(), claims.exp), ("alice", NOW.plus(Duration::from_secs(7_890_048))));
    assert_eq!((may(&claims, "dev-x"), may(&claims, "a")), ("r w".into(), "r d cc cr cq cd".into()));
    // As there, a token that was granted nothing may do nothing.
    let none = world.token(Some(&file), &["atticadm", "-f", &file, "make-token", "--sub", "x", "--validity", "1d"]);
    assert_eq!(may(&none, "main"), "");

    let dumped = world.data(&[&args[..], &["--dump-claims"]].concat());
    let dumped: Claims = serde_json::from_str(&dumped).unwrap();
    assert_eq!((dumped.exp, dumped.scope), (claims.exp, claims.scope));
}

#[test]
fn where_only_the_public_key_is_no_token_is_made() {
    let world = World::new();
    let key = include_bytes!("../auth/testdata/rs256-public-pkcs1.pem");
    let key = data_encoding::BASE64.encode(key);
    let file = world.file(&format!("[jwt.signing]\ntoken-rs256-pubkey-base64 = \"{key}\""));
    let ended = world.run(&["flywheel-server", "-f", &file, "token", "make"]);
    assert_eq!(ended.status, ExitStatus::Failed);
    assert_eq!(
        ended.notes,
        "error: tokens cannot be made here: only the public key is configured\n\
         hint: make tokens where the private key is, or configure it here\n"
    );
}

#[test]
fn caches_are_created_listed_and_shown() {
    let world = World::new();
    let file = world.file(ATTIC);
    let cache = |args: &[&str]| world.run(&[&["flywheel-server", "-f", &file, "cache"], args].concat());
    let created = cache(&["create", "main", "--public", "--upstream-cache-key-name", "cache.nixos.org-1"]);
    assert_eq!((created.status, created.notes.as_str()), (ExitStatus::Ok, "Created the public cache main.\n"));
    assert!(created.data.starts_with("Public Key: main:"), "{}", created.data);
    assert_eq!(cache(&["create", "ci", "--priority", "30", "--store-dir", "/store"]).status, ExitStatus::Ok);

    assert_eq!(cache(&["list"]).data, "ci\tprivate\tpriority 30\nmain\tpublic\tpriority 41\n");
    assert_eq!(
        cache(&["info", "main"]).data,
        format!(
            "{}Visibility: public\nStore Directory: /nix/store\nPriority: 41\nUpstream Cache Keys: cache.nixos.org-1\n\
             Retention: as configured\n",
            created.data
        )
    );
    let again = cache(&["create", "main"]);
    assert_eq!(again.status, ExitStatus::Failed);
    assert_eq!(again.notes, "error: there is a cache main already\nhint: `cache info main` shows it\n");
    let absent = cache(&["info", "other"]);
    assert_eq!(absent.status, ExitStatus::Failed);
    assert_eq!(absent.notes, "error: there is no cache other\nhint: `cache list` shows those that there are\n");
}

#[test]
fn keys_are_changed_with_an_overlap() {
    let world = World::new();
    let file = world.file(ATTIC);
    let cache = |args: &[&str]| world.run(&[&["flywheel-server", "-f", &file, "cache"], args].concat());
    let first = cache(&["create", "main"]).data;
    let both = cache(&["key", "add", "main"]).data;
    assert!(both.starts_with("Public Key: main-2:") && both.ends_with(&first), "{both}");
    let taken = cache(&["key", "add", "main", "--key-name", "main-2"]);
    assert_eq!(taken.status, ExitStatus::Failed);
    assert_eq!(
        taken.notes,
        "error: the cache main has a key main-2 already\nhint: Nix trusts only one key of a name: choose another with --key-name\n"
    );
    let second = cache(&["key", "remove", "main", "main"]).data;
    assert_eq!(format!("{second}{first}"), both);
    let last = cache(&["key", "remove", "main", "main-2"]);
    assert_eq!(last.status, ExitStatus::Failed);
    assert!(last.notes.starts_with("error: main-2 is the only key of the cache main\n"), "{}", last.notes);

    let imported = world.dir.path().join("key");
    fs::write(
        &imported,
        "old:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA5tVYukLQXTNqbPoDHRSLudr1rVjNwSn5Jh40Sdnqf9g==",
    )
    .unwrap();
    let refused = cache(&["key", "add", "main", "--import", imported.to_str().unwrap()]);
    assert!(refused.notes.contains("holds no key"), "{}", refused.notes);
    assert!(cache(&["info", "main"]).data.starts_with(&second));
}

#[test]
fn the_schema_is_brought_up_to_date_by_itself() {
    let world = World::new();
    let file = world.file(ATTIC);
    let ended = world.run(&["atticd", "-f", &file, "--mode", "db-migrations"]);
    assert_eq!(
        (ended.status, ended.notes.as_str()),
        (ExitStatus::Ok, "The schema of sqlite://DIR/server.db?mode=rwc is up to date.\n")
    );
    assert!(world.dir.path().join("server.db").exists() && world.served.take().is_none());
}

#[test]
fn what_serving_fails_with_is_told_with_its_causes() {
    let fail = |error: fn() -> anyhow::Error| {
        let mut notes = Vec::new();
        let invocation = Invocation {
            args: vec!["flywheel-server".into()],
            environment: [("HOME", "/nowhere")].into_iter().collect(),
            clock: &FixedClock::new(NOW),
        };
        let status = invoke(invocation, Output { data: &mut Vec::new(), notes: &mut notes }, |_, _| Err(error()));
        assert_eq!(status, ExitStatus::Failed);
        String::from_utf8(notes).unwrap()
    };
    let in_use = || anyhow::Error::new(::storage::OpenError::InUse("/store".into())).context("cannot store in /store");
    assert_eq!(
        fail(in_use),
        "error: cannot store in /store: the storage folder /store is in use by another server\n\
         hint: a folder has one server: stop the other one, or configure another folder\n"
    );
    let bound = || anyhow::Error::new(io::Error::from(io::ErrorKind::AddrInUse)).context("cannot listen on [::]:8080");
    assert_eq!(
        fail(bound),
        "error: cannot listen on [::]:8080: address in use\nhint: something else listens there: say --listen ADDRESS\n"
    );
}

#[test]
fn help_version_and_completions_are_data() {
    let world = World::new();
    let help = world.data(&["flywheel-server", "--help"]);
    assert!(help.contains("Usage: flywheel-server [OPTIONS] [COMMAND]"), "{help}");
    assert!(help.contains("db-migrations"), "{help}");
    let help = world.data(&["/nix/store/x/bin/atticadm", "make-token", "--help"]);
    assert!(help.contains("Usage: atticadm make-token"), "{help}");
    assert_eq!(
        world.data(&["flywheel-server", "--version"]),
        concat!("flywheel-server ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.data(&["flywheel-server", "completions", shell]).contains("flywheel-server"), "{shell}");
    }
}
