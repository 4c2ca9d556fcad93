use std::{fs, net::Ipv4Addr};

use data_encoding::BASE64;
use tempfile::tempdir;

use super::*;

/// What the deployment renders, with its secrets.
const DEPLOYED: &str = r#"
listen = "[::]:8080"

[database]
url = "postgresql://attic:hush%2F@attic-pg-rw.nix-cache.svc.cluster.local:5432/attic?sslmode=require"

[storage]
type = "s3"
region = "us-east-1"
bucket = "attic"
endpoint = "http://attic-minio-hl.nix-cache.svc:9000"

[jwt.signing]
token-hs256-secret-base64 = "aHVzaC1odXNo"

[chunking]
nar-size-threshold = 65536
min-size = 16384
avg-size = 65536
max-size = 262144

[compression]
type = "zstd"
level = 8

[garbage-collection]
interval = "12 hours"
default-retention-period = "3 months"
"#;

/// Every key of Attic's that the deployment leaves out.
const THE_REST: &str = r#"
allowed-hosts = ["cache.example.org"]
api-endpoint = "https://cache.example.org"
substituter-endpoint = "https://cdn.example.org/"
soft-delete-caches = true
require-proof-of-possession = false
max-nar-info-size = 65536
[database]
heartbeat = true
[storage]
type = "s3"
region = "eu"
bucket = "b"
[storage.credentials]
access_key_id = "id"
secret_access_key = "hush"
[jwt]
token-bound-issuer = "https://issuer.example.org"
token-bound-audiences = ["a", "b"]
[jwt.signing]
token-rs256-secret-base64 = "aHVzaA=="
"#;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let home = ("HOME", "/home/ci");
    [home].iter().chain(variables).copied().collect()
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempdir().unwrap();
    let file = dir.path().join("server.toml");
    fs::write(&file, text).unwrap();
    Config::load(&Sources { file: Some(file), environment: environment(variables), ..Sources::default() })
}

fn error(text: &str) -> String {
    let error = load(text, &[]).unwrap_err().to_string();
    error.split_once("server.toml").unwrap_or(("", &error)).1.to_owned()
}

#[test]
fn the_deployments_file_is_taken_as_it_is() {
    let Loaded { config, warnings, .. } = load(DEPLOYED, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.listen, "[::]:8080".parse().unwrap());
    assert!(matches!(&config.storage, Storage::S3(s3) if s3.bucket == "attic" && s3.credentials.is_none()));
    assert!(matches!(&config.jwt.signing, Signing::Hs256Secret(s) if s.expose() == "aHVzaC1odXNo"));
    assert_eq!(config.chunking.0.avg_size(), 65536);
    assert_eq!(config.compression.level, 8);
    assert_eq!(config.garbage_collection.retention().unwrap().as_secs(), 7_890_048);
}

#[test]
fn our_own_examples_are_taken_without_a_warning() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for name in ["server.toml", "kubernetes/server.toml"] {
        let text = fs::read_to_string(deploy.join(name)).unwrap();
        let Loaded { config, warnings, .. } = load(&text, &[]).unwrap();
        assert_eq!((warnings, config.validate()), (vec![], Ok(())), "{name}");
        // Every line that is commented out must be a key too.
        let whole: String = text
            .lines()
            .filter(|line| !line.starts_with("# Every"))
            .map(|line| line.strip_prefix("# ").filter(|l| l.contains(" = ") && !l.contains("rs256")).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        load(&whole, &[]).unwrap();
    }
}

#[test]
fn the_rest_of_attics_keys_is_taken() {
    let Loaded { config, warnings, .. } = load(THE_REST, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.allowed_hosts, ["cache.example.org"]);
    assert_eq!(config.api_endpoint.unwrap().as_str(), "https://cache.example.org/");
    assert_eq!(config.max_nar_info_size, 65536);
    assert!(config.soft_delete_caches && !config.require_proof_of_possession && config.database.heartbeat);
    assert_eq!(config.jwt.token_bound_audiences.unwrap(), ["a", "b"]);
    assert!(matches!(config.jwt.signing, Signing::Rs256Secret(_)));
}

#[test]
fn the_effective_configuration_masks_secrets() {
    let shown = load(DEPLOYED, &[]).unwrap().config.effective();
    insta::assert_snapshot!(shown);
    for text in [DEPLOYED, THE_REST] {
        let Loaded { config, .. } = load(text, &[]).unwrap();
        assert!(
            !config.effective().contains("hush") && !config.effective().contains("aHVzaA"),
            "{}",
            config.effective()
        );
        assert!(!format!("{config:?}").contains("hush") && !format!("{config:?}").contains("aHVzaA"), "{config:?}");
    }
}

#[test]
fn the_effective_configuration_can_be_read_again() {
    let config = load("", &[]).unwrap().config;
    let again = load(&config.effective(), &[]).unwrap().config;
    // The file of the secret is named now, so it is no longer the server's own to make.
    let Signing::OwnFile(path) = &config.jwt.signing else { panic!("{config:?}") };
    assert_eq!(again.jwt.signing, Signing::File(path.clone()));
    assert_eq!(again, Config { jwt: again.jwt.clone(), ..config });
}

#[test]
fn without_a_file_everything_is_in_the_data_folder() {
    let sources = Sources { environment: environment(&[]), ..Sources::default() };
    let Loaded { config, is_configured, .. } = Config::load(&sources).unwrap();
    assert!(!is_configured);
    config.validate().unwrap();
    insta::assert_snapshot!(config.effective());
}

#[test]
fn the_data_folder_is_found_by_one_rule() {
    let all = [("FLYWHEEL_DATA_DIR", "/env"), ("XDG_DATA_HOME", "/xdg")];
    let dir = |told: Option<&str>, in_file: Option<&str>, variables: &[(&str, &str)]| {
        let sources =
            Sources { data_dir: told.map(PathBuf::from), environment: environment(variables), ..Sources::default() };
        data_dir(&sources, in_file.map(Path::new)).unwrap().display().to_string()
    };
    assert_eq!(dir(Some("/told"), Some("/file"), &all), "/told");
    assert_eq!(dir(None, Some("/file"), &all), "/env");
    assert_eq!(dir(None, Some("/file"), &all[1..]), "/file");
    assert_eq!(dir(None, None, &all[1..]), "/xdg/flywheel-cache");
    assert_eq!(dir(None, None, &[("XDG_DATA_HOME", "relative")]), "/home/ci/.local/share/flywheel-cache");
    assert!(matches!(Config::load(&Sources::default()), Err(ConfigError::NoDataDir)));
}

#[test]
fn a_server_that_was_given_every_place_needs_no_home() {
    let config = BASE64.encode(DEPLOYED.as_bytes());
    let environment = [("ATTIC_SERVER_CONFIG_BASE64", config)].into_iter().collect();
    let config = Config::load(&Sources { environment, ..Sources::default() }).unwrap().config;
    assert_eq!(config.flywheel.data_dir, None);
}

#[test]
fn mistakes_are_named_by_key_and_line() {
    let cases = [
        ("listn = 1", ", line 1: unknown field `listn`, expected one of `listen`, "),
        ("\n[jwt.signing]\ntoken-hs256-secrt-base64 = \"hush\"", ", line 3: unknown field `token-hs256-secrt-base64`"),
        ("[storage]\ntype = \"local\"\npath = \"/x\"\nbucket = \"b\"", "unknown field `bucket`"),
        ("[storage]\ntype = \"s3\"\nbucket = \"b\"", "missing field `region`"),
        ("[storage]\ntype = \"ftp\"", "unknown variant `ftp`"),
        ("listen = 8080", ", line 1: listen: invalid type: integer `8080`"),
        ("listen = \"localhost\"", ", line 1: listen: invalid socket address syntax"),
        ("[garbage-collection]\ninterval = \"soon\"", ", line 2: interval: \"soon\" is no length of time"),
        ("[flywheel.limits]\nmax-nar-size = \"1 pound\"", ", line 2: max-nar-size: \"1 pound\" is no size"),
        ("[flywheel.limits]\nmax-concurrent-uploads = 0", ", line 2: max-concurrent-uploads: "),
        ("[flywheel]\ndefault-cache = \"no/name\"", ", line 2: default-cache: a cache name has only letters"),
        ("[compression]\ntype = \"lzma\"", ", line 2: type: unknown variant `lzma`"),
        ("x", ", line 1: "),
    ];
    for (text, expected) in cases {
        let error = error(text);
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    assert!(load("[jwt.signing]\ntoken-hs256-secret-base64 = \"a\"\ntoken-rs256-pubkey-base64 = \"b\"", &[]).is_err());
}

#[test]
fn the_environment_goes_before_the_file() {
    let variables = [
        ("ATTIC_SERVER_DATABASE_URL", "sqlite:///env.db?mode=rwc"),
        ("DATABASE_URL", "sqlite:///other.db"),
        ("ATTIC_SERVER_TOKEN_RS256_PUBKEY_BASE64", "cHVi"),
    ];
    let config = load(DEPLOYED, &variables).unwrap().config;
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("/env.db".into()));
    assert!(matches!(&config.jwt.signing, Signing::Rs256PublicKey(k) if k.expose() == "cHVi"));
}

#[test]
fn the_database_url_that_all_share_goes_last() {
    let variables = [("DATABASE_URL", "sqlite:///other.db")];
    let of_file = load("[database]\nurl = \"sqlite:///file.db\"", &variables).unwrap().config;
    assert_eq!(of_file.database.url, DatabaseUrl::Sqlite("/file.db".into()));
    assert_eq!(load("", &variables).unwrap().config.database.url, DatabaseUrl::Sqlite("/other.db".into()));
    let error = load("", &[("DATABASE_URL", "sqlite::memory:")]).unwrap_err().to_string();
    assert!(error.starts_with("DATABASE_URL: the index cannot be kept in memory"), "{error}");
}

#[test]
fn a_whole_file_may_be_in_the_environment() {
    let sources = |text: &str| Sources {
        environment: environment(&[("ATTIC_SERVER_CONFIG_BASE64", &BASE64.encode(text.as_bytes()))]),
        ..Sources::default()
    };
    let config = Config::load(&sources("listen = \"127.0.0.1:1\"")).unwrap().config;
    assert_eq!(config.listen, (Ipv4Addr::LOCALHOST, 1).into());
    let told = Sources { listen: Some((Ipv4Addr::LOCALHOST, 2).into()), ..sources("listen = \"127.0.0.1:1\"") };
    assert_eq!(Config::load(&told).unwrap().config.listen.port(), 2);
    let error = Config::load(&sources("nonsense = 1")).unwrap_err().to_string();
    assert!(error.starts_with("ATTIC_SERVER_CONFIG_BASE64, line 1: unknown field `nonsense`"), "{error}");
    let bad = Sources { environment: environment(&[("ATTIC_SERVER_CONFIG_BASE64", "%")]), ..Sources::default() };
    assert!(matches!(Config::load(&bad), Err(ConfigError::VariableNotBase64 { .. })));
}

#[test]
fn what_this_build_cannot_run_is_told_before_it_starts() {
    let config = load(DEPLOYED, &[]).unwrap().config;
    assert_eq!(config.validate(), Ok(()));
    let text = format!("{DEPLOYED}\n[flywheel.s3]\nprefix = \"chunks/x\"");
    let config = load(&text, &[]).unwrap().config;
    assert!(matches!(config.validate(), Err(Unsupported::S3(S3Problem::Prefix { .. }))));
}

#[test]
fn settings_that_do_not_do_what_they_say_are_told() {
    let text = "token-hs256-secret-base64 = \"aA==\"\n[compression]\ntype = \"brotli\"\nlevel = 5";
    let Loaded { config, warnings, .. } = load(text, &[]).unwrap();
    assert_eq!(warnings, [Warning::OldSecretKey, Warning::CompressionType("brotli".to_owned())]);
    assert!(matches!(&config.jwt.signing, Signing::Hs256Secret(s) if s.expose() == "aA=="));
}
