//! The direction of dependency between the workspace's members, and what each may use of the world.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Member, and the members that it may depend on. Whatever is not here is not allowed.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("memory", &[]),
    ("formats", &[]),
    ("protocol", &["formats"]),
    ("storage", &["memory"]),
    ("s3", &["storage"]),
    ("source", &["formats", "storage", "s3"]),
    ("database", &["formats", "protocol"]),
    ("sqlite", &["formats", "protocol", "database"]),
    ("postgres", &["formats", "protocol", "database"]),
    ("server", &["formats", "protocol", "memory", "source", "storage", "s3", "database", "sqlite", "postgres"]),
    ("client", &["formats", "protocol"]),
    ("scratch", &[]),
    ("bucket", &[]),
    // Whatever stands outside may use all of it.
    ("it", &["formats", "protocol", "server", "client"]),
    (
        "benches",
        &["formats", "protocol", "storage", "database", "sqlite", "postgres", "server", "client", "scratch", "bucket"],
    ),
];

/// A part of the world, and the only members that may depend on it.
const RESERVED: [(&str, &[&str]); 7] = [
    ("axum", &["server"]),
    ("hyper", &["server", "bucket"]),
    ("hyper-util", &["server", "bucket"]),
    ("tower", &["server"]),
    ("sqlx", &["sqlite", "postgres", "source"]),
    // The server asks the issuers of identities for their keys; imports read other caches.
    ("reqwest", &["server", "client", "source", "it", "benches"]),
    (
        "tokio",
        &["storage", "s3", "source", "database", "sqlite", "postgres", "server", "client", "bucket", "it", "benches"],
    ),
];

/// Member → what it depends on. Dependencies of tests alone bind nothing together and are left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let used = dependencies.filter(|dependency| dependency["kind"] != "dev");
        used.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), names(package))).collect()
}

#[test]
fn members_depend_downwards_only() {
    let allowed = BTreeMap::from(ALLOWED);
    let members = dependencies();
    for (member, uses) in &members {
        let allowed = allowed.get(member.as_str()).unwrap_or_else(|| panic!("{member} is not in the table of layers"));
        for used in uses.iter().filter(|used| members.contains_key(*used)) {
            assert!(allowed.contains(&used.as_str()), "{member} must not depend on {used}");
        }
    }
    for member in allowed.keys() {
        assert!(members.contains_key(*member), "{member} is in the table of layers and not in the workspace");
    }
}

#[test]
fn the_world_is_behind_few_doors() {
    for (member, uses) in dependencies() {
        for (part, allowed) in RESERVED {
            let is_used = uses.contains(part);
            assert!(!is_used || allowed.contains(&member.as_str()), "{member} must not depend on {part}");
        }
    }
}

#[test]
fn the_table_of_layers_has_no_cycle() {
    let allowed = BTreeMap::from(ALLOWED);
    let mut settled = BTreeSet::new();
    while settled.len() < allowed.len() {
        let next = allowed
            .iter()
            .find(|(member, uses)| !settled.contains(**member) && uses.iter().all(|used| settled.contains(used)));
        settled.insert(*next.expect("a cycle in the table of layers").0);
    }
}
