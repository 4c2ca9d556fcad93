//! Where a queue lies when nobody says where.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use client::nix::StorePlace;

use crate::{environment::Environment, failure, output::Failure, target::Target};

/// The queue of the cache that is named, for who needs only that.
pub(in crate::commands) fn queue_folder(
    given: Option<&Path>,
    cache: Option<&str>,
    environment: &Environment,
) -> Result<PathBuf, Failure> {
    if let Some(folder) = given.or(environment.queue_dir.as_deref()) {
        return Ok(environment.working_dir.join(folder));
    }
    let place = StorePlace::new(environment.nix_store_dir.as_deref(), environment.nix_remote.as_deref())
        .map_err(|error| failure::place(&error))?;
    of_target(None, &Target::find(cache, environment)?, environment, &place)
}

/// The queue of a target: each cache on each server has one, and each store that is not the usual.
pub(super) fn of_target(
    given: Option<&Path>,
    target: &Target,
    environment: &Environment,
    place: &StorePlace,
) -> Result<PathBuf, Failure> {
    if let Some(folder) = given.or(environment.queue_dir.as_deref()) {
        return Ok(environment.working_dir.join(folder));
    }
    let home = environment.state_home.as_ref().ok_or_else(|| {
        Failure::usage("there is no folder for the queue")
            .hint("name one with --queue-dir, or set HOME or XDG_STATE_HOME")
    })?;
    let mut name = target.cache.to_string();
    if place.folder() != Path::new("/nix/store") {
        name.push('@');
        name.push_str(&escape(&place.folder().to_string_lossy()));
    }
    let server = escape(target.endpoint.as_str().trim_end_matches('/'));
    Ok(home.join("flywheel-push/queues").join(server).join(name))
}

/// A text as one file name; different texts stay different.
fn escape(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            // Writing to a String cannot fail.
            _ => drop(write!(name, "%{byte:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cache_server_and_store_has_a_queue_of_its_own() {
        let mut environment = Environment {
            config_home: Some("/absent".into()),
            state_home: Some("/home/me/.local/state".into()),
            server: Some("https://cache.example.org:8443/under/".into()),
            working_dir: "/work".into(),
            ..Environment::default()
        };
        let folder = |given: Option<&str>, environment: &Environment| {
            let folder = queue_folder(given.map(Path::new), Some("main"), environment);
            folder.map(|folder| folder.to_str().unwrap().to_owned()).map_err(|failure| failure.message)
        };
        let usual = "/home/me/.local/state/flywheel-push/queues/https%3a%2f%2fcache.example.org%3a8443%2funder/main";
        assert_eq!(folder(None, &environment).unwrap(), usual);
        environment.nix_remote = Some("/mnt".into());
        assert_eq!(folder(None, &environment).unwrap(), format!("{usual}@%2fmnt%2fnix%2fstore"));
        environment.queue_dir = Some("/queue".into());
        assert_eq!(folder(None, &environment).unwrap(), "/queue");
        assert_eq!(folder(Some("here"), &environment).unwrap(), "/work/here");
        let nowhere = Environment { state_home: None, queue_dir: None, ..environment };
        assert_eq!(folder(None, &nowhere).unwrap_err(), "there is no folder for the queue");
    }
}
