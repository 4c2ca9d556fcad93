//! A flake in a repository, builders that build it with real Nix, and a server with a policy.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::harness::{
    Http, Server,
    nix::{Nix, NixClient, hash_part},
};

const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");

/// Every attribute is one derivation with one thing to say of it.
const FLAKE: &str = r##"
{
  outputs = { self }: {
    packages.SYSTEM =
      let
        make = name: script: extra: derivation ({
          inherit name;
          system = "SYSTEM";
          builder = "/bin/sh";
          PATH = "/usr/bin:/bin";
          args = [ "-e" "-c" "# ID\n${script}" ];
        } // extra);
        leaf = make "leaf-1.0" "mkdir $out; echo leaf > $out/leaf; head -c 300000 /dev/zero | tr '\\0' x > $out/large" { };
      in
      {
        inherit leaf;
        hello = make "hello-1.0" "mkdir $out; echo ${leaf} $out > $out/hello" { };
        unclean = make "unclean-1.0" "echo ${leaf} > $out" { __noChroot = true; };
        secret = make "secret-1.0" ''
          echo "-----BEGIN OPENSSH PRIVATE KEY-----" > $out
          echo "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW" >> $out
        '' { };
        hidden = make "hidden-1.0" "echo ${builtins.unsafeDiscardStringContext "${leaf}"} > $out" { };
        sources = make "hello-source" "echo source > $out" { };
        luck = make "luck-1.0" "mkdir $out; date +%s%N > $out/now" { };
      }
      // builtins.listToAttrs (map
        (number: {
          name = "step${number}";
          value = make "step-${number}" "mkdir $out; echo ${leaf} > $out/leaf; echo ${number} > $out/number" { };
        }) [ "1" "2" "3" "4" "5" "6" ]);
    devShells.SYSTEM.default = derivation {
      name = "shell-ID";
      system = "SYSTEM";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-c" "echo shell > $out" ];
    };
  };
}
"##;

/// Asks what the built-in policy asks, but takes the flake from a repository on this machine.
const POLICY: &str = "version = \"it-1\"\n[source]\nschemes = [\"git+file\"]\n";

pub(super) struct Lab {
    pub(super) server: Server,
    repository: PathBuf,
}

/// Somebody with a Nix, a store of their own and a token.
pub(super) struct Builder {
    pub(super) nix: Nix,
    pub(super) root: String,
    token: String,
    url: String,
}

/// What our client did.
pub(super) struct Done {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) said: String,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::configured("")
    }

    /// With more of a configuration, which begins with what belongs to `[flywheel.promotion]`.
    pub(super) fn configured(more: &str) -> Self {
        let config = format!("[flywheel.promotion]\npolicy-file = \"policy.toml\"\n{more}");
        let mut server = Server::builder().config(config).stopped();
        fs::write(server.scratch().join("policy.toml"), POLICY).unwrap();
        server.restart();
        let repository = server.scratch().join("flake");
        fs::create_dir(&repository).unwrap();
        let system = format!("{}-linux", std::env::consts::ARCH);
        let id = server.scratch().file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(repository.join("flake.nix"), FLAKE.replace("SYSTEM", &system).replace("ID", &id)).unwrap();
        let lab = Self { server, repository };
        lab.git(&["init", "--quiet"]);
        lab.commit();
        lab
    }

    /// Asks more, or less, from now on.
    pub(super) fn set_policy(&mut self, more: &str) {
        fs::write(self.server.scratch().join("policy.toml"), format!("{POLICY}{more}")).unwrap();
        self.server.restart();
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
        let mut command = Command::new("git");
        command.args(identity).args(arguments).current_dir(&self.repository).env("HOME", self.server.scratch());
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", "all"]);
    }

    /// Changes a file without committing it.
    pub(super) fn make_dirty(&self) {
        let file = self.repository.join("flake.nix");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}\n# not committed\n")).unwrap();
    }

    /// The flake's attribute, as one writes it.
    pub(super) fn attribute(&self, name: &str) -> String {
        format!("git+file://{}#{name}", self.repository.display())
    }

    pub(super) fn builder(&self, client: &NixClient, subject: &str) -> Builder {
        let nix = client.at_home(&self.server, &["experimental-features = nix-command flakes"]);
        let root = nix.place("root");
        let token = self.server.token(&["--sub", subject, "--pull", "main", "--push", "main"]);
        Builder { nix, root, token, url: self.server.url() }
    }

    /// Somebody who may promote, and may not push.
    pub(super) fn promoter(&self, client: &NixClient) -> Builder {
        let token = self.server.token(&["--sub", "ada", "--pull", "main", "--promote", "main"]);
        Builder { token, ..self.builder(client, "unused") }
    }

    /// Somebody with that very token, or with none.
    pub(super) fn with_token(&self, client: &NixClient, token: &str) -> Builder {
        Builder { token: token.to_owned(), ..self.builder(client, "unused") }
    }

    pub(super) fn http(&self, token: &[&str]) -> Http {
        self.server.http().with_token(&self.server.token(token))
    }

    /// The path that a claim is about.
    pub(super) async fn path_of(&self, claim: i64) -> String {
        let http = self.http(&["--sub", "reader", "--pull", "main"]);
        let claim = http.get(&format!("/_flywheel/v1/caches/main/claims/{claim}")).await.expect(200).json();
        claim["claim"]["outputs"]["out"]["path"].as_str().unwrap().to_owned()
    }

    /// The status of a narinfo, plain or through a tag.
    pub(super) async fn narinfo(&self, cache: &str, path: &str) -> u16 {
        let answer = self.server.http().get(&format!("/{cache}/{}.narinfo", hash_part(path))).await;
        answer.status.as_u16()
    }
}

impl Builder {
    /// Builds an attribute in the Nix's own store and brings it into the builder's. Returns its path.
    pub(super) fn build(&self, lab: &Lab, attribute: &str) -> String {
        let wanted = lab.attribute(attribute);
        self.nix.ok(&["build", "--no-link", &wanted]);
        let path = self.nix.ok(&["eval", "--raw", &format!("{wanted}.outPath")]);
        self.nix.ok(&["copy", "--no-check-sigs", "--to", &self.root, &path]);
        path
    }

    /// Runs our client over the builder's store.
    pub(super) fn client(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(CLIENT);
        self.nix.prepare(&mut command).args(arguments);
        self.environment(&mut command);
        done(&mut command)
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(super) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.client(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}\n{}{}", done.out, done.said);
        done.out
    }

    /// Runs a line as somebody would type it, over the builder's store, where our client goes by its name.
    pub(super) fn shell(&self, line: &str) -> Done {
        let program = self.nix.place("bin/flywheel-push");
        if !Path::new(&program).exists() {
            std::os::unix::fs::symlink(CLIENT, program).unwrap();
        }
        let mut command = Command::new("sh");
        self.nix.prepare(&mut command).args(["-c", line]);
        self.environment(&mut command);
        done(&mut command)
    }

    fn environment(&self, command: &mut Command) {
        command.env("ATTIC_SERVER", &self.url).env("ATTIC_TOKEN", &self.token).env("ATTIC_CACHE", "main");
        command.env("NIX_REMOTE", &self.root);
    }

    /// Claims what was built and waits for the verdict: the claim's number, its state, and the predicates that do not hold with
    /// the codes of their problems.
    #[track_caller]
    pub(super) fn claim(&self, what: &str) -> (i64, String, Vec<(String, String)>) {
        let done = self.client(&["promote", "claim", what, "--wait", "--json"]);
        let claim: serde_json::Value =
            serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}{}", done.out, done.said));
        let (id, state, lacking) = read(&claim);
        assert_eq!(done.code == Some(0), state == "clean", "{}", done.said);
        (id, state, lacking)
    }

    pub(super) fn place(&self, name: &str) -> String {
        Path::new(&self.root).parent().unwrap().join(name).to_str().unwrap().to_owned()
    }
}

fn done(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: status.code(), out: text(stdout), said: text(stderr) }
}

/// A claim's number, its state, and what does not hold.
pub(super) fn read(claim: &serde_json::Value) -> (i64, String, Vec<(String, String)>) {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let findings = claim["report"]["findings"].as_array().into_iter().flatten();
    let lacking = findings.filter(|finding| finding["outcome"] != "passed").flat_map(|finding| {
        let problems = finding["problems"].as_array().unwrap().iter();
        problems.map(|problem| (text(&finding["predicate"]), text(&problem["code"])))
    });
    (claim["id"].as_i64().unwrap(), text(&claim["state"]), lacking.collect())
}

/// The hash of the NAR that the cache has of a path.
pub(super) async fn nar_hash(lab: &Lab, path: &str) -> String {
    let text = lab.server.http().get(&format!("/main/{}.narinfo", hash_part(path))).await.expect(200).text();
    text.lines().find_map(|line| line.strip_prefix("NarHash: ")).unwrap().to_owned()
}

/// What became of a claim, when something has.
pub(super) async fn settled(lab: &Lab, id: i64) -> (String, Vec<(String, String)>) {
    let http = lab.http(&["--sub", "reader", "--pull", "main"]);
    for _ in 0..600 {
        let claim = http.get(&format!("/_flywheel/v1/caches/main/claims/{id}")).await.expect(200).json();
        let (_, state, lacking) = read(&claim);
        if state != "filed" && state != "verifying" {
            return (state, lacking);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("claim {id} was never verified");
}
