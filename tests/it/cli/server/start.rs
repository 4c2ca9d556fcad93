//! Starting the server.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use insta::assert_snapshot;

use crate::{cli::lab::Lab, harness::Http};

/// A server that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it and reads so many lines of its standard output.
fn start(lab: &Lab, arguments: &[&str], lines: usize) -> (Started, Vec<String>) {
    let mut command = lab.server_command();
    command.args(arguments).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().take(lines).map(Result::unwrap).collect();
    (Started(child), said)
}

/// What the first screen says is all it takes.
#[tokio::test]
async fn the_first_start_says_what_to_paste() {
    let lab = Lab::new();
    let (_server, said) = start(&lab, &[], 10);
    let url = said[0].strip_prefix("Flywheel Cache is up at ").unwrap().to_owned();
    let http = Http::new(&url);
    let key = http.public_key("main").await.to_string();
    let shown = said.join("\n").replace(&url, "http://SERVER").replace(&key, "main:KEY");
    assert_snapshot!(shown, @"
    Flywheel Cache is up at http://SERVER

    In nix.conf:
      substituters = http://SERVER/main
      trusted-public-keys = main:KEY

    To push:
      flywheel-server token make --sub me --cache main --validity 1y
      flywheel-push login local http://SERVER TOKEN
      flywheel-push push main ./result
    ");
    http.get("/main/nix-cache-info").await.expect(200);

    // The token that it says how to make is good.
    let line = said.iter().find_map(|line| line.trim().strip_prefix("flywheel-server ")).unwrap();
    let minted = lab.server(&line.split(' ').collect::<Vec<_>>());
    let token = minted.strip_prefix("exit 0\n> ").unwrap().trim_end();
    http.with_token(token).upload("main", &crate::harness::TestPath::small("a")).await.expect(200);
}

/// Its own secret, keys and data are for its owner only.
#[test]
fn what_it_keeps_is_not_for_others() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    drop(start(&lab, &["--data-dir", "data"], 1));
    let mode = |name: &str| format!("{:o}", lab.path(name).metadata().unwrap().permissions().mode() & 0o777);
    assert_eq!(mode("data/token-secret"), "600");
    let index = mode("data/index.sqlite");
    let folder = mode("data");
    assert!(folder == "700" || index == "600", "the index has secret keys: folder {folder}, index {index}");
}

#[test]
fn one_folder_has_one_server() {
    let lab = Lab::new();
    let _first = start(&lab, &["--data-dir", "data"], 1);
    assert_snapshot!(lab.server(&["--data-dir", "data", "--listen", "127.0.0.1:0"]), @"
    exit 1
    error: cannot store in data/store: the storage folder data/store is in use by another server
    hint: a folder has one server: stop the other one, or configure another folder
    ");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let lab = Lab::new().knows(&address, "ADDRESS");
    assert_snapshot!(lab.server(&["--listen", &address]), @"
    exit 1
    error: cannot listen on ADDRESS: Address already in use (os error 98)
    hint: something else listens there: say --listen ADDRESS
    ");
}

#[test]
fn there_is_no_folder_without_a_home() {
    let lab = Lab::new().env("HOME", "");
    assert_snapshot!(lab.server(&[]), @"
    exit 1
    error: there is no place for the data: neither --data-dir nor FLYWHEEL_DATA_DIR nor HOME is set
    hint: say --data-dir DIR
    ");
}
