//! Exit statuses: 0 well, 1 failed, 2 usage, 4 not allowed, 5 unreachable. (3, partly, is for a push.)

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Server};

#[test]
fn usage() {
    let lab = Lab::new();
    assert_snapshot!(lab.client(&["cache", "info"]), @"
    exit 2
    error: no cache is named
    hint: name one as CACHE or SERVER:CACHE, or set ATTIC_CACHE
    ");
    assert_snapshot!(lab.client(&["cache", "info", "main"]), @"
    exit 2
    error: no server is known
    hint: log in with `login NAME URL [TOKEN]`, or set ATTIC_SERVER
    ");
    assert_snapshot!(lab.client(&["cache", "info", "nowhere:main"]), @r#"
    exit 2
    error: no server is called "nowhere"
    hint: log in with `login NAME URL [TOKEN]`
    "#);
    assert_snapshot!(lab.client(&["cache", "info", "../main"]), @r#"
    exit 2
    error: "../main" is no cache name: a cache name has only letters, digits, '-', '_' and '+', and starts with a letter or digit; '.' is not allowed here
    "#);
    for arguments in [&[][..], &["frobnicate"], &["cache"], &["push", "main", "x", "-j", "0"]] {
        let said = lab.client(arguments);
        assert!(said.starts_with("exit 2\n"), "{arguments:?} {said}");
    }
}

#[tokio::test]
async fn not_allowed() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url());
    assert_snapshot!(lab.client(&["cache", "create", "new"]), @"
    exit 4
    error: new on http://SERVER/: Unauthorized. (Unauthorized, status 401)
    hint: Log in, or put the token as the password for this host into the netrc file. An expired token is no token.
    ");
    let reader = server.token(&["--pull", "new"]);
    let lab = lab.env("ATTIC_TOKEN", &reader);
    assert_snapshot!(lab.client(&["cache", "create", "new"]), @"
    exit 4
    error: new on http://SERVER/: Your token does not allow this. (AccessError, status 403)
    hint: Ask an admin for a token with the permission.
    ");
    assert_snapshot!(lab.client(&["cache", "info", "private"]), @"
    exit 4
    error: private on http://SERVER/: Unauthorized. (Unauthorized, status 401)
    hint: Log in, or put the token as the password for this host into the netrc file. An expired token is no token.
    ");
}

#[tokio::test]
async fn unreachable() {
    let mut server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &server.url());
    server.terminate();
    let said = lab.client(&["cache", "info", "main"]);
    assert!(said.starts_with("exit 5\nerror: ") && said.contains("\nhint: is the address right"), "{said}");
}

/// An address with a cache's name behind it is the most common mistake.
#[tokio::test]
async fn an_address_that_is_no_servers() {
    let server = Server::new();
    let lab = Lab::at(&server).await.env("ATTIC_SERVER", &format!("{}/main", server.url()));
    assert_snapshot!(lab.client(&["cache", "info", "main"]), @"
    exit 1
    error: main on http://SERVER/main: There is nothing at this address. (NotFound, status 404)
    hint: the address must be that of the server, without a cache's name
    ");
}

#[test]
fn help_and_version_go_well() {
    let lab = Lab::new();
    for arguments in [&["--help"][..], &["help"], &["push", "--help"], &["--version"], &["completions", "bash"]] {
        let said = lab.client(arguments);
        assert!(said.starts_with("exit 0\n> "), "{arguments:?} {said}");
    }
    assert!(
        lab.called("attic", &["push", "--help"]).contains("attic push"),
        "it goes by the name that it is called by"
    );
}
