//! The example in docs/promotion.md, as it stands there.

use super::lab::{Builder, Lab};
use crate::harness::nix::clients;

const PAGE: &str = include_str!("../../../docs/promotion.md");

/// A command of the page, who gives it, and the lines of its answer.
struct Step {
    who: &'static str,
    command: &'static str,
    answer: Vec<&'static str>,
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in PAGE.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.split_once("$ ").filter(|(who, _)| !who.contains(' ')) {
                Some((who, command)) => steps.push(Step { who, command, answer: Vec::new() }),
                None => steps.last_mut().unwrap().answer.push(line),
            }
        }
    }
    steps
}

/// Whether the line is as written, where `…` is anything.
fn matches(written: &str, line: &str) -> bool {
    let mut parts = written.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        match if is_last { rest.rfind(part) } else { rest.find(part) } {
            Some(found) => rest = &rest[found + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn the_dots_are_anything() {
    assert!(matches("a … b …", "a x b y") && matches("a", "a") && matches("a…", "a"));
    assert!(!matches("a … b", "a x c") && !matches("a", "ab") && !matches("a…b", "axbc"));
}

#[test]
fn the_example_of_the_page_works() {
    let Some(client) = clients().into_iter().next() else { return };
    let lab = Lab::new();
    let people: Vec<(&str, Builder)> = vec![
        ("ci-1", lab.builder(&client, "ci-1")),
        ("ci-2", lab.builder(&client, "ci-2")),
        ("ada", lab.promoter(&client)),
        ("anybody", lab.with_token(&client, "")),
    ];
    let steps = steps();
    assert!(steps.len() >= 10, "there is an example");
    let mut key: Option<String> = None;
    for Step { who, command, answer } in steps {
        let (_, somebody) = people.iter().find(|(name, _)| *name == who).unwrap_or_else(|| panic!("who is {who}?"));
        if command.starts_with("nix build") {
            // In the store of this machine, from which it is brought into somebody's own.
            somebody.build(&lab, "hello");
            continue;
        }
        let mut line = command.replace("git+https://git.example.org/hello#hello", &lab.attribute("hello"));
        if let Some(key) = &key {
            line = line.replace("main-promoted-1:…", key);
        }
        let done = somebody.shell(&line);
        assert_eq!(done.code, Some(0), "{who}$ {line}\n{}{}", done.out, done.said);
        let mut said = done.out.lines();
        for written in answer {
            assert!(said.any(|line| matches(written, line)), "{who}$ {line}: no {written:?} in\n{}", done.out);
        }
        if command.ends_with("promote keys") {
            key = Some(done.out.trim().to_owned());
        }
    }
}
