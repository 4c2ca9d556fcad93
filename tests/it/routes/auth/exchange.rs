//! Identities of CI for tokens, with an issuer of the test's own.

mod issuer;

use reqwest::Method;
use serde_json::{Value, json};

use super::{create_cache, may, said};
use crate::harness::{Answer, Server, TestPath};
use issuer::{Issuer, Kind};

const AUDIENCE: &str = "https://cache.example.org";

/// A server with a private cache that trusts what this issuer says of `acme/app` on its main branch.
async fn trusting(issuer: &Issuer, more: &str) -> Server {
    let config = format!(
        r#"
[[flywheel.exchange.rules]]
name = "app"
issuer = "{}"
audience = "{AUDIENCE}"
claims = {{ repository = "acme/app", ref = ["refs/heads/main", "refs/tags/v*"], environment = "prod*" }}
grants = {{ private = ["pull", "push"] }}
lifetime = "10min"
allow-http = true
{more}
"#,
        issuer.url()
    );
    let server = Server::builder().config(config).start();
    create_cache(&server.admin(), "private", false).await;
    server
}

/// What an issuer says of a job that fits the rule.
fn job(issuer: &Issuer) -> Value {
    let now = issuer::now();
    json!({
        "iss": issuer.url(), "aud": AUDIENCE, "sub": "repo:acme/app:environment:production",
        "iat": now, "nbf": now, "exp": now + 300, "jti": format!("{:x}", rand()),
        "repository": "acme/app", "ref": "refs/heads/main", "environment": "production",
    })
}

fn rand() -> u128 {
    let hash = blake3::hash(format!("{:?}", std::time::Instant::now()).as_bytes());
    u128::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
}

async fn show(server: &Server, identity: &str) -> Answer {
    server.http().send_json(Method::POST, "/_flywheel/v1/exchange", &json!({"identity": identity})).await
}

/// That an identity is refused in the words that are the same for all, and that the log says why.
async fn assert_refused(server: &Server, identity: &str, why: &str) {
    let logged = server.log().len();
    let answer = show(server, identity).await;
    assert_eq!(said(&answer), "403 IdentityRefused", "{why}");
    assert_eq!(answer.json()["message"], "This identity is not trusted here.", "{why}");
    let log = &server.log()[logged..];
    assert!(log.contains(why), "the log should say {why:?}:\n{log}");
    assert!(identity.len() < 20 || !log.contains(identity), "identities are not logged");
}

#[tokio::test]
async fn a_job_gets_a_token_for_what_its_rule_grants() {
    for kind in [Kind::Rs256, Kind::Es256] {
        let issuer = Issuer::start(kind).await;
        let server = trusting(&issuer, "").await;
        let offer = server.http().get("/_flywheel/v1/exchange").await.expect(200).json();
        assert_eq!(offer, json!({"audiences": [AUDIENCE]}));
        let minted = show(&server, &issuer.sign(&job(&issuer))).await.expect(200).json();
        assert_eq!(minted["expires-in"], 600);
        assert_eq!(minted["grants"], json!({"private": ["pull", "push"]}));
        let ci = server.http().with_token(minted["token"].as_str().unwrap());
        assert_eq!((may(&ci, "private").await, may(&ci, "main").await), ("r w".to_owned(), "r".to_owned()));
        ci.upload("private", &TestPath::small("a")).await.expect(200);
        // It is in the registry and in the audit, and is revoked like any other.
        let id = minted["id"].as_str().unwrap();
        let run = |args: &[&str]| {
            let output = server.command().args(args).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(run(&["token", "show", id]).contains("Subject: app/repo:acme/app:environment:production\n"));
        assert!(run(&["audit", "list"]).contains(&format!("\tdone\ttoken.exchange\t{id}\tapp/repo:acme/app")));
        run(&["token", "revoke", id]);
        assert_eq!(may(&ci, "private").await, "");
        // The issuer was asked once for all of this.
        show(&server, &issuer.sign(&job(&issuer))).await.expect(200);
        assert_eq!(issuer.asked(), 2, "where the keys are, and the keys");
    }
}

#[tokio::test]
async fn whatever_does_not_fit_the_rule_is_refused() {
    let issuer = Issuer::start(Kind::Rs256).await;
    let server = trusting(&issuer, "").await;
    let now = issuer::now();
    for (claim, value, why) in [
        ("aud", json!("https://other.example.org"), "it is for"),
        ("aud", Value::Null, "it is for"),
        ("repository", json!("acme/app2"), "its repository is"),
        ("repository", json!("evil/acme/app"), "its repository is"),
        ("repository", Value::Null, "it does not say its repository"),
        ("ref", json!("refs/heads/main2"), "its ref is"),
        ("ref", json!("refs/pull/1/merge"), "its ref is"),
        ("environment", json!("staging"), "its environment is"),
        ("environment", Value::Null, "it does not say its environment"),
        ("exp", json!(now - 61), "it expired"),
        ("exp", Value::Null, "it expired, or does not say when"),
        ("nbf", json!(now + 120), "it is from the future"),
        ("iat", json!(now + 120), "it is from the future"),
        ("iss", json!("https://elsewhere.example.org"), "no rule names the issuer"),
        ("iss", Value::Null, "it is no JWT that says who issued it"),
    ] {
        let mut claims = job(&issuer);
        claims[claim] = value;
        assert_refused(&server, &issuer.sign(&claims), why).await;
    }
    // Clocks may be a minute apart.
    let mut claims = job(&issuer);
    (claims["exp"], claims["iat"]) = (json!(now - 30), json!(now + 30));
    show(&server, &issuer.sign(&claims)).await.expect(200);
}

#[tokio::test]
async fn whatever_is_not_signed_by_the_issuer_is_refused() {
    let issuer = Issuer::start(Kind::Es256).await;
    let server = trusting(&issuer, "").await;
    let good = issuer.sign(&job(&issuer));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let header = |json: Value| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let payload = head.split_once('.').unwrap().1;
    let mut other = job(&issuer);
    other["repository"] = "acme/other".into();
    let other = header(other);
    for (forged, why) in [
        (format!("{}.{other}.{signature}", head.split_once('.').unwrap().0), "its signature is not its issuer's"),
        (format!("{head}."), "its signature is not its issuer's"),
        (issuer.sign_with_another_key(&job(&issuer)), "its signature is not its issuer's"),
        (format!("{}.{payload}.{signature}", header(json!({"alg": "none"}))), "it is no JWT"),
        // A public key must not pass for a shared secret.
        (issuer.sign_with_its_public_key(&job(&issuer)), "it is signed with HS256"),
        (
            format!("{}.{payload}.{signature}", header(json!({"alg": "RS256", "kid": "1"}))),
            "its key is for something else",
        ),
        ("garbage".to_owned(), "it is no JWT"),
        (format!("{head}.{}", "x".repeat(20_000)), "it is longer than"),
    ] {
        assert_refused(&server, &forged, why).await;
    }
    let unknown = format!("{}.{payload}.{signature}", header(json!({"alg": "ES256", "kid": "other"})));
    assert_refused(&server, &unknown, "has no key").await;
    show(&server, &good).await.expect(200);
    for body in [json!({}), json!({"identity": 1}), json!({"identity": "x", "more": 1})] {
        let answer = server.http().send_json(Method::POST, "/_flywheel/v1/exchange", &body).await;
        assert_eq!(said(&answer), "400 RequestError");
    }
}

#[tokio::test]
async fn an_identity_is_good_once_unless_its_rule_says_otherwise() {
    let issuer = Issuer::start(Kind::Rs256).await;
    let server = trusting(&issuer, "").await;
    let identity = issuer.sign(&job(&issuer));
    let tries = (0..6).map(|_| show(&server, &identity));
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 200).count(), 1, "one of many at once");
    assert_refused(&server, &identity, "it was exchanged before").await;
    let mut nameless = job(&issuer);
    nameless["jti"] = Value::Null;
    let nameless = issuer.sign(&nameless);
    show(&server, &nameless).await.expect(200);
    assert_refused(&server, &nameless, "it was exchanged before").await;

    let server = trusting(&issuer, "single-use = false").await;
    for _ in 0..2 {
        show(&server, &identity).await.expect(200);
    }
}

#[tokio::test]
async fn strangers_cannot_make_the_server_ask_its_issuer_again_and_again() {
    let issuer = Issuer::start(Kind::Rs256).await;
    let server = trusting(&issuer, "single-use = false").await;
    show(&server, &issuer.sign(&job(&issuer))).await.expect(200);
    assert_eq!(issuer.asked(), 2);
    // A stranger makes up keys: the issuer is left in peace for a while.
    let forged = issuer.sign_as("made-up", &job(&issuer));
    for _ in 0..20 {
        assert_refused(&server, &forged, "has no key").await;
    }
    assert_eq!(issuer.asked(), 2);
    // What is known goes on without the issuer.
    issuer.stop();
    show(&server, &issuer.sign(&job(&issuer))).await.expect(200);
}

#[tokio::test]
async fn an_issuer_that_is_not_what_it_should_be_gives_no_keys() {
    for (fault, why) in [
        (issuer::Fault::Away, "cannot be asked for its keys"),
        (issuer::Fault::Redirects, "answered 302"),
        (issuer::Fault::OtherName, "it calls itself"),
        (issuer::Fault::KeysElsewhere, "its keys are elsewhere"),
        (issuer::Fault::Endless, "more than 262144 bytes"),
        (issuer::Fault::Garbage, "answered something else"),
    ] {
        let issuer = Issuer::start(Kind::Rs256).await;
        issuer.fail(fault);
        let server = trusting(&issuer, "").await;
        let answer = show(&server, &issuer.sign(&job(&issuer))).await;
        assert_eq!(said(&answer), "503 Unavailable", "{why}");
        assert!(server.log().contains(why), "{why}: {}", server.log());
    }
}

#[tokio::test]
async fn a_server_without_rules_takes_no_identities() {
    let server = Server::new();
    assert_eq!(said(&server.http().get("/_flywheel/v1/exchange").await), "404 NotFound");
    assert_eq!(said(&show(&server, "x").await), "404 NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_exchanges_what_ci_gives_it() {
    let issuer = Issuer::start(Kind::Es256).await;
    let server = trusting(&issuer, "single-use = false").await;
    let home = server.scratch().join("home");
    let client = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_client-under-test"));
        command.env_clear().env("HOME", &home).env("ATTIC_SERVER", server.url()).env("NO_PROXY", "*");
        let output = command.envs(variables.iter().copied()).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text)
    };
    // As GitLab: the identity is a variable.
    let identity = issuer.sign(&job(&issuer));
    let info = ["cache", "info", "private"];
    assert_eq!(client(&[], &info).0, 4, "without an identity nothing is told");
    let (code, text) = client(&[("FLYWHEEL_ID_TOKEN", &identity)], &info);
    assert!(code == 0 && text.contains("Public Key: private:"), "{text}");
    // As GitHub: the runner is asked for one, for the audience of the server.
    let url = issuer.runner();
    let github = [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job")];
    let (code, text) = client(&github, &info);
    assert!(code == 0 && text.contains("Public Key: private:"), "{text}");
    let (code, text) = client(&github, &["login", "ci", &server.url(), "--oidc"]);
    assert!(code == 0 && text.contains("a token for app/repo:acme/app:environment:production, good for 10m"), "{text}");
    assert_eq!(client(&[], &info).0, 0, "the token was kept");

    // One that is not trusted is told so.
    let mut stranger = job(&issuer);
    stranger["repository"] = "evil/app".into();
    std::fs::remove_dir_all(&home).unwrap();
    let (code, text) = client(&[("FLYWHEEL_ID_TOKEN", &issuer.sign(&stranger))], &info);
    assert!(code == 4 && text.contains("This identity is not trusted here."), "{text}");
    let (code, text) = client(&[], &["login", "ci", &server.url(), "--oidc"]);
    assert!(code == 2 && text.contains("id-token: write"), "{text}");
}

/// Runs the shell of a CI definition in a folder of its own; gives what it printed.
fn shell(script: &str, folder: &std::path::Path, variables: &[(&str, &str)]) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let mut command = std::process::Command::new("bash");
    command.args(["-eo", "pipefail", "-c", script]).env_clear().current_dir(folder);
    command
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", folder)
        .env("NO_PROXY", "*")
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

fn definition(file: &str) -> Vec<yaml_rust2::Yaml> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(file);
    yaml_rust2::YamlLoader::load_from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The token in a netrc file.
fn password(folder: &std::path::Path) -> Option<String> {
    let netrc = std::fs::read_to_string(folder.join("netrc")).ok()?;
    netrc.lines().find_map(|line| line.strip_prefix("password ")).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ci_definitions_exchange_the_jobs_identity_where_no_secret_is_given() {
    let issuer = Issuer::start(Kind::Rs256).await;
    let server = trusting(&issuer, "single-use = false").await;
    let (folder, url) = (server.scratch().join("ci"), server.url());
    let is_good =
        async |token: Option<String>| may(&server.http().with_token(&token.unwrap()), "private").await == "r w";

    let setup = &definition("github/setup-flywheel/action.yml")[0];
    let script = setup["runs"]["steps"][0]["run"].as_str().unwrap().to_owned();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (env, output, temp, runner) = (file("env"), file("output"), file("temp"), issuer.runner());
    let mut variables = vec![
        ("INPUT_SERVER", url.as_str()),
        ("GITHUB_ENV", env.as_str()),
        ("GITHUB_OUTPUT", output.as_str()),
        ("RUNNER_TEMP", temp.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", runner.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job"),
    ];
    let said = shell(&script, &folder, &variables);
    let set = std::fs::read_to_string(&env).unwrap();
    assert!(set.contains("FLYWHEEL_IDENTITY=true\n") && set.contains("ATTIC_TOKEN=\n"), "{said}\n{set}");
    let token = password(&folder.join("temp/flywheel"));
    assert!(said.contains(&format!("::add-mask::{}", token.as_deref().unwrap())), "{said}");
    assert!(is_good(token).await);
    // A job that may have no identity goes on without.
    variables.truncate(4);
    std::fs::remove_dir_all(&folder).unwrap();
    shell(&script, &folder, &variables);
    let set = std::fs::read_to_string(&env).unwrap();
    assert!(set.contains("FLYWHEEL_IDENTITY=\n") && password(&folder.join("temp/flywheel")).is_none(), "{set}");

    let template = &definition("gitlab/templates/nix-job.yml")[1]["$[[ inputs.job ]]"];
    let script: Vec<&str> =
        template["before_script"].as_vec().unwrap()[..2].iter().map(|part| part.as_str().unwrap()).collect();
    let (gitlab, identity) = (file("gitlab"), issuer.sign(&job(&issuer)));
    let variables = [
        ("ATTIC_SERVER", url.as_str()),
        ("ATTIC_PUBLIC_KEY", "k:a2V5"),
        ("FLYWHEEL_DIR", gitlab.as_str()),
        ("FLYWHEEL_ID_TOKEN", identity.as_str()),
    ];
    shell(&script.join("\n"), &folder, &variables);
    assert!(is_good(password(&folder.join("gitlab"))).await);
}
