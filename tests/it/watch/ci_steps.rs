//! The CI definitions under `deploy/`: their shell, run as GitHub and GitLab run it, against a real server and a real Nix.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use yaml_rust2::{Yaml, YamlLoader};

use super::lab::{Lab, assert_pushed_once, next_second, pushed, said};

const CLIENT: &str = env!("CARGO_BIN_EXE_client-under-test");

fn read(file: &str) -> Vec<Yaml> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(file);
    YamlLoader::load_from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

fn text(yaml: &Yaml) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("no text: {yaml:?}")).to_owned()
}

/// A client as a store path, to be had from the cache and not from the store.
fn publish_client(lab: &Lab) -> String {
    let package = lab.place("flywheel-push-package");
    fs::create_dir_all(format!("{package}/bin")).unwrap();
    let program = format!("{package}/bin/flywheel-push");
    // The programs of the store are scripts here; where they lie is what is tested.
    fs::write(&program, format!("#!/bin/sh\nexec {CLIENT} \"$@\"\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let add = lab.command("nix-store").args(["--add", &package]).output().unwrap();
    let path = String::from_utf8(add.stdout).unwrap().trim().to_owned();
    lab.client(&["push", "ci", &path]);
    let delete = lab.command("nix-store").args(["--delete", &path]).output().unwrap();
    assert!(delete.status.success(), "{}", said(&delete));
    path
}

/// What a shell has to have before anything else: no client, and a Nix that may substitute.
fn job_environment(lab: &Lab, with_token: bool) -> BTreeMap<String, String> {
    let command = lab.command("sh");
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str().unwrap().to_owned(), value?.to_str().unwrap().to_owned())));
    let mut environment: BTreeMap<String, String> = set.collect();
    if !with_token {
        environment.remove("ATTIC_TOKEN");
    }
    let config = lab.client(&["cache", "info", "ci", "--json"]);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    environment.insert("ATTIC_PUBLIC_KEY".into(), config["public_key"].as_str().unwrap().into());
    // A server that is not there is passed over.
    environment.insert("NO_PROXY".into(), "*".into());
    environment
}

/// A GitHub runner, as far as composite actions see one.
struct Runner {
    environment: BTreeMap<String, String>,
    folder: String,
    home: String,
}

impl Runner {
    fn new(lab: &Lab, with_token: bool) -> Self {
        let folder = lab.place("runner");
        fs::create_dir_all(&folder).unwrap();
        let mut environment = job_environment(lab, with_token);
        for name in ["GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT"] {
            environment.insert(name.to_owned(), format!("{folder}/{name}"));
        }
        environment.insert("RUNNER_TEMP".to_owned(), folder.clone());
        Self { environment, folder, home: lab.place("") }
    }

    /// Runs an action with these inputs. Returns what its steps printed and the outcome of the last that ran.
    fn action(&mut self, file: &str, inputs: &[(&str, &str)]) -> (String, i32) {
        let action = &read(file)[0];
        let mut values: BTreeMap<String, String> = action["inputs"]
            .as_hash()
            .unwrap()
            .iter()
            .map(|(name, input)| {
                (format!("inputs.{}", text(name)), input["default"].as_str().unwrap_or_default().to_owned())
            })
            .collect();
        for (name, value) in inputs {
            assert!(values.insert(format!("inputs.{name}"), (*value).to_owned()).is_some(), "no input {name}");
        }
        let (mut log, mut code) = (String::new(), 0);
        for step in action["runs"]["steps"].as_vec().unwrap() {
            if step["if"].as_str().is_some_and(|condition| !holds(condition, &values)) {
                continue;
            }
            let output = self.step(step, &values);
            log.push_str(&said(&output));
            code = output.status.code().unwrap();
            if code != 0 {
                break;
            }
            let id = step["id"].as_str().unwrap_or_default();
            for (name, value) in self.take("GITHUB_OUTPUT") {
                values.insert(format!("steps.{id}.outputs.{name}"), value);
            }
            for (name, value) in self.take("GITHUB_ENV") {
                self.environment.insert(name, value);
            }
            for line in fs::read_to_string(format!("{}/GITHUB_PATH", self.folder)).unwrap_or_default().lines() {
                let path = format!("{line}:{}", self.environment["PATH"]);
                self.environment.insert("PATH".to_owned(), path);
            }
            let _ = fs::remove_file(format!("{}/GITHUB_PATH", self.folder));
        }
        (log, code)
    }

    fn step(&self, step: &Yaml, values: &BTreeMap<String, String>) -> Output {
        assert_eq!(step["shell"].as_str(), Some("bash"));
        let script = format!("{}/step.sh", self.folder);
        let run = text(&step["run"]);
        assert!(!run.contains("${{"), "what others wrote must not become shell: {run}");
        fs::write(&script, run).unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", &script]);
        command.env_clear().envs(&self.environment).current_dir(&self.home);
        for (name, value) in step["env"].as_hash().into_iter().flatten() {
            command.env(text(name), fill(&text(value), values));
        }
        if let Some(folder) = step["working-directory"].as_str() {
            command.current_dir(Path::new(&self.home).join(fill(folder, values)));
        }
        command.output().unwrap()
    }

    /// Reads `NAME=VALUE` and `NAME<<END … END`, and empties the file.
    fn take(&self, file: &str) -> Vec<(String, String)> {
        let path = format!("{}/{file}", self.folder);
        let contents = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let mut lines = contents.lines();
        let mut found = Vec::new();
        while let Some(line) = lines.next() {
            if let Some((name, value)) = line.split_once('=') {
                found.push((name.to_owned(), value.to_owned()));
            } else {
                let (name, end) = line.split_once("<<").unwrap_or_else(|| panic!("in {file}: {line}"));
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                found.push((name.to_owned(), value.join("\n")));
            }
        }
        found
    }
}

/// Replaces `${{ name }}`.
fn fill(template: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${{") {
        let (name, after) = after.split_once("}}").unwrap();
        filled.push_str(before);
        filled.push_str(values.get(name.trim()).unwrap_or_else(|| panic!("nothing is called {name}")));
        rest = after;
    }
    filled + rest
}

/// `name != ''` is all that we use.
fn holds(condition: &str, values: &BTreeMap<String, String>) -> bool {
    let name = condition.strip_suffix(" != ''").unwrap_or_else(|| panic!("cannot tell whether {condition}"));
    values.get(name).is_some_and(|value| !value.is_empty())
}

#[tokio::test]
async fn a_github_job_gets_the_client_from_the_cache_and_pushes() {
    let Some(lab) = Lab::new() else { return };
    let client = publish_client(&lab);
    next_second();
    let mut runner = Runner::new(&lab, true);
    runner.environment.insert("ATTIC_SERVER".into(), format!("http://127.0.0.1:1 {}/", lab.server.url()));
    let (log, code) = runner.action("github/setup-flywheel/action.yml", &[("client", &client)]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(runner.environment["ATTIC_SERVER"], lab.server.url());
    assert!(runner.environment["PATH"].starts_with(&format!("{}/flywheel/client/bin:", runner.folder)), "{log}");
    let netrc = format!("{}/flywheel/netrc", runner.folder);
    assert_eq!(fs::metadata(netrc).unwrap().permissions().mode() & 0o777, 0o600);

    for (tag, fails, expected) in [("good", "99", 6), ("bad", "3", 5)] {
        let words = lab.build_words(tag, 6, &["--arg", "fails", fails]).join(" ");
        let (log, code) = runner.action("github/nix-job/action.yml", &[("command", &words)]);
        let sent = pushed(&only_ours(&log));
        assert_eq!((sent.len(), code == 0), (expected, tag == "good"), "{log}");
        lab.assert_cached(&sent.iter().map(|name| format!("{}/{name}", lab.store_dir())).collect());
    }
}

#[tokio::test]
async fn a_github_job_without_client_token_or_server_builds_all_the_same() {
    let Some(mut lab) = Lab::new() else { return };
    // The cache has no client, but the job builds one, which then pushes what was built, itself included.
    let client = publish_client(&lab);
    next_second();
    let mut runner = Runner::new(&lab, true);
    let (log, code) = runner.action("github/setup-flywheel/action.yml", &[("client", "/nix/store/absent")]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("the cache has no client yet"), "{log}");
    runner.environment.insert("FLYWHEEL_CLIENT".into(), client.clone());
    let add = format!("nix-store --realise {client} --add-root {} --indirect", lab.place("root"));
    let words = lab.build_words("late", 2, &[]).join(" ");
    let (log, code) = runner.action("github/nix-job/action.yml", &[("command", &format!("{add}\n{words}\nexit 7"))]);
    assert_eq!(code, 7, "{log}");
    assert_eq!(pushed(&only_ours(&log)).len(), 2, "{log}");

    next_second();
    let mut stranger = Runner::new(&lab, false);
    let (log, code) = stranger.action("github/setup-flywheel/action.yml", &[("client", &client)]);
    assert_eq!(code, 0, "{log}");
    let words = lab.build_words("strange", 2, &[]).join(" ");
    let (log, code) = stranger.action("github/nix-job/action.yml", &[("command", &words)]);
    assert_eq!((code, pushed(&only_ours(&log)).len()), (0, 0), "{log}");

    let mut lonely = Runner::new(&lab, true);
    lab.server.kill9();
    let (log, code) = lonely.action("github/setup-flywheel/action.yml", &[("client", &client)]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("::warning::no cache answers"), "{log}");
    let (log, code) = lonely.action("github/nix-job/action.yml", &[("command", &words)]);
    assert_eq!(code, 0, "{log}");
}

/// Runs the parts of a GitLab job in one shell, as GitLab joins them.
fn gitlab(lab: &Lab, environment: &BTreeMap<String, String>, parts: &[String]) -> Output {
    let script = format!("set -e\n{}", parts.join("\n"));
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).env_clear().envs(environment).current_dir(lab.place("")).output().unwrap()
}

/// The hidden job's `before_script` or `after_script`.
fn part(job: &Yaml, name: &str) -> Vec<String> {
    job[name].as_vec().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_gitlab_job_pushes_whether_or_not_its_watcher_lives_to_the_end() {
    let Some(lab) = Lab::new() else { return };
    let client = publish_client(&lab);
    let documents = read("gitlab/templates/nix-job.yml");
    let inputs = &documents[0]["spec"]["inputs"];
    let job = &documents[1]["$[[ inputs.job ]]"];
    assert_eq!(inputs["job"]["default"].as_str(), Some(".flywheel"));
    for (tag, watcher_dies) in [("lives", false), ("dies", true)] {
        next_second();
        let mut environment = job_environment(&lab, true);
        environment.insert("FLYWHEEL_DIR".into(), lab.place(&format!("gitlab-{tag}")));
        for (name, value) in job["variables"].as_hash().unwrap() {
            let value = text(value);
            let input = value.trim_start_matches("$[[ inputs.").trim_end_matches(" ]]");
            let value = if input == "client" { client.clone() } else { text(&inputs[input]["default"]) };
            environment.insert(text(name), value);
        }
        let mut parts = part(job, "before_script");
        parts.push(format!("{}\n", lab.build_words(tag, 4, &[]).join(" ")));
        if watcher_dies {
            // As when the container ends with the script. The watcher has not sent anything by then.
            parts.push("kill -9 $!".to_owned());
        }
        let script = gitlab(&lab, &environment, &parts);
        assert!(script.status.success(), "{}", said(&script));
        let text = String::from_utf8_lossy(&script.stdout).into_owned();
        let built: BTreeSet<String> = text.lines().filter(|line| line.contains("-built-")).map(str::to_owned).collect();
        assert_eq!(built.len(), 4, "{}", said(&script));
        let after = gitlab(&lab, &environment, &part(job, "after_script"));
        assert!(after.status.success());
        assert!(said(&after).contains("store paths sent: 4\n"), "{}\n{}", said(&script), said(&after));
        let log = fs::read_to_string(format!("{}/watch.log", environment["FLYWHEEL_DIR"])).unwrap();
        assert_pushed_once(&only_ours(&log), &built);
        lab.assert_cached(&built);
    }
}

/// The lines of the log that count.
fn only_ours(log: &str) -> String {
    log.lines()
        .filter(|line| line.starts_with("pushed ") && line.contains("-built-"))
        .map(|line| format!("{line}\n"))
        .collect()
}
