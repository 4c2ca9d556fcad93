//! `check-config`, and configurations that make no sense.

use insta::assert_snapshot;

use crate::cli::lab::Lab;

/// What the deployment has, on a folder and SQLite.
const ATTIC: &str = r#"
listen = "[::]:8080"
[database]
url = "sqlite://HOME/server.db?mode=rwc"
[storage]
type = "local"
path = "HOME/storage"
[jwt.signing]
token-hs256-secret-base64 = "c2VjcmV0IG9mIHRoZSBkZXBsb3ltZW50"
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

fn with_config(text: &str) -> (Lab, String) {
    let lab = Lab::new();
    let file = lab.file("server.toml", &text.replace("HOME", lab.path("").to_str().unwrap().trim_end_matches('/')));
    (lab, file)
}

#[test]
fn what_is_in_effect_is_shown_without_secrets() {
    let (lab, file) = with_config(ATTIC);
    let shown = lab.server(&["check-config", "--config", &file]);
    assert!(!shown.contains("c2VjcmV0"), "{shown}");
    assert_snapshot!(shown, @r#"
    exit 0
    > listen = "[::]:8080"
    > allowed-hosts = []
    > soft-delete-caches = false
    > require-proof-of-possession = true
    > max-nar-info-size = 1048576
    >
    > [database]
    > url = "sqlite://HOME/server.db?mode=rwc"
    > heartbeat = false
    >
    > [storage]
    > type = "local"
    > path = "HOME/storage"
    >
    > [chunking]
    > nar-size-threshold = 65536
    > min-size = 16384
    > avg-size = 65536
    > max-size = 262144
    >
    > [compression]
    > type = "zstd"
    > level = 8
    >
    > [garbage-collection]
    > interval = "12h"
    > default-retention-period = "3months"
    >
    > [jwt.signing]
    > token-hs256-secret-base64 = "<secret>"
    >
    > [flywheel]
    > data-dir = "HOME/.local/share/flywheel-cache"
    > default-cache = "main"
    > log-format = "text"
    > narinfo-cache-size = "32 MiB"
    > read-only = false
    >
    > [flywheel.inspection]
    > scrub-rate = "0 B"
    > scrub-interval = "7days"
    > stats-interval = "6h"
    >
    > [flywheel.limits]
    > max-nar-size = "64 GiB"
    > max-upload-size = "64 GiB"
    > max-document-size = "64 MiB"
    > max-concurrent-uploads = 16
    > max-read-memory = "128 MiB"
    > head-timeout = "30s"
    > idle-timeout = "2m"
    > body-idle-timeout = "1m"
    > max-decompression-ratio = 10000
    >
    > [flywheel.postgresql]
    > max-connections = 8
    > start-timeout = "5m"
    >
    > [flywheel.tokens]
    > require-registered = false
    > keep-ended = "30days"
    >
    > [flywheel.audit]
    > keep = "1year"
    > max-rows = 1000000
    >
    > [flywheel.collection]
    > grace = "1h"
    > upload-lease = "1day"
    > max-size = "0 B"
    > rewrite-below = 80
    >
    > [flywheel.promotion]
    > keep-revisions = 5
    > keep-for = "30days"
    >
    > [flywheel.s3]
    > prefix = ""
    > part-size = "32 MiB"
    > upload-memory = "128 MiB"
    > max-requests = 64
    > timeout = "30s"
    > attempts = 6
    > allow-expiry = false
    "#);
    assert_eq!(lab.called("atticd", &["-f", &file, "--mode", "check-config"]), shown);
    assert!(!lab.path("server.db").exists() && !lab.path("storage").exists(), "nothing is made");
}

#[test]
fn the_environment_goes_before_the_file() {
    let (lab, file) = with_config(ATTIC);
    let lab = lab
        .env("ATTIC_SERVER_TOKEN_HS256_SECRET_BASE64", "b3RoZXI=")
        .env("ATTIC_SERVER_DATABASE_URL", "sqlite:///elsewhere.db?mode=rwc");
    let shown = lab.server(&["check-config", "-f", &file]);
    assert!(shown.contains("url = \"sqlite:///elsewhere.db?mode=rwc\"") && !shown.contains("b3RoZXI"), "{shown}");
}

#[test]
fn a_password_in_a_database_url_is_a_secret() {
    let (lab, file) =
        with_config("[database]\nurl = \"postgresql://attic:hush@db.example.org/attic?sslmode=require\"\n");
    let shown = lab.server(&["check-config", "-f", &file]);
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("attic") && shown.contains("db.example.org"), "{shown}");
}

#[test]
fn a_key_that_is_not_known_is_named() {
    let (lab, file) = with_config("[chunking]\nmin-sise = 1\n");
    let said = lab.server(&["check-config", "-f", &file]);
    assert_snapshot!(said, @"
    exit 1
    error: HOME/server.toml, line 2: unknown field `min-sise`, expected one of `nar-size-threshold`, `min-size`, `avg-size`, `max-size`
    ");
    for arguments in [&["-f", &file][..], &["token", "make", "-f", &file], &["cache", "list", "-f", &file]] {
        assert_eq!(lab.server(arguments), said, "{arguments:?}");
    }
}

#[test]
fn values_that_make_no_sense_are_told() {
    for (text, expected) in [
        ("listen = 8080\n", "listen"),
        ("[chunking]\nmin-size = 100000\navg-size = 1000\n", "min-size"),
        ("[garbage-collection]\ninterval = \"often\"\n", "often"),
        ("[jwt.signing]\ntoken-hs256-secret-base64 = \"?\"\n", "HS256"),
        ("[storage]\ntype = \"tape\"\n", "tape"),
        ("[flywheel.limits]\nmax-nar-size = \"huge\"\n", "huge"),
        ("[flywheel]\ndefault-cache = \"a/b\"\n", "cache name"),
        ("not toml", "line 1"),
    ] {
        let (lab, file) = with_config(text);
        let said = lab.server(&["check-config", "-f", &file]);
        assert!(
            said.starts_with("exit 1\n") && said.contains("\nerror: ") && said.contains(expected),
            "{text}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    assert_snapshot!(Lab::new().server(&["-f", "/nowhere/server.toml"]), @"
    exit 1
    error: the configuration /nowhere/server.toml cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let lab = Lab::new();
    assert_snapshot!(lab.server(&["--mode", "chaos"]), @"
    exit 2
    error: invalid value 'chaos' for '--mode <MODE>'
      [possible values: monolithic, api-server, garbage-collector, garbage-collector-once, db-migrations, check-config]

    For more information, try '--help'.
    ");
    assert_snapshot!(lab.server(&["token", "make", "--days", "0"]), @"
    exit 2
    error: the token would have ended before it was made
    ");
    for arguments in [&["--nonsense"][..], &["nonsense"], &["token"], &["cache", "create"], &["--listen", "here"]] {
        let said = lab.server(arguments);
        assert!(said.starts_with("exit 2\n"), "{arguments:?} {said}");
    }
    assert!(!lab.path(".local").exists(), "nothing is made");
}
