//! TLS, with a certificate that somebody made themselves.

use std::{path::Path, process::Command};

use database::Caches;
use postgres::{OpenError, Options, PostgresDatabase};

/// A key and a certificate for 127.0.0.1 that is its own authority, readable for the server.
fn make_certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", "server.key", "-out", "server.crt"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = folder.join("server.key");
    // PostgreSQL wants the key to be its own, or of root and of its group.
    let group = if rustix::process::geteuid().is_root() { Some(65534) } else { None };
    std::os::unix::fs::chown(&key, None, group).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(if group.is_some() { 0o640 } else { 0o600 });
    std::fs::set_permissions(key, mode).unwrap();
}

#[tokio::test]
async fn a_connection_is_encrypted_if_it_must_be() {
    let mut server = scratch::Server::stopped(&[]);
    make_certificate(server.folder());
    let folder = server.folder().display().to_string();
    for setting in
        ["ssl=on".to_owned(), format!("ssl_cert_file={folder}/server.crt"), format!("ssl_key_file={folder}/server.key")]
    {
        server.set(setting);
    }
    server.start_again();
    let database = server.database();
    let open = async |parameters: &str| {
        PostgresDatabase::connect(&format!("{}?{parameters}", database.url()), Options::default()).await
    };

    let opened = open("sslmode=require").await.unwrap();
    opened.ping().await.unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'flywheel-cache'";
    assert_ne!(server.ask(encrypted), "0");

    let unknown = open("sslmode=verify-full").await.unwrap_err();
    assert!(matches!(unknown, OpenError::Connect { .. }), "{unknown:?}");
    assert!(!unknown.may_pass(), "nobody waits for a certificate to become good");
    open(&format!("sslmode=verify-full&sslrootcert={folder}/server.crt")).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_refused_if_it_must_be() {
    let database = scratch::Database::new();
    let refused = PostgresDatabase::connect(&format!("{}?sslmode=require", database.url()), Options::default()).await;
    assert!(matches!(refused, Err(OpenError::Connect { .. })), "{refused:?}");
}
