//! Derivations as Nix made them, and the output paths that Nix computed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is how a test fails")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use formats::{Derivation, DerivationHash, OutputPath, StoreDir, StorePath, StorePathName};

fn read() -> BTreeMap<StorePath, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/derivations");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let drvs = files.filter(|file| file.extension().is_some_and(|extension| extension == "drv"));
    drvs.map(|file| (file.file_name().unwrap().to_str().unwrap().parse().unwrap(), fs::read(file).unwrap())).collect()
}

fn hash_of(
    path: &StorePath,
    all: &BTreeMap<StorePath, Derivation>,
    known: &mut HashMap<StorePath, DerivationHash>,
) -> DerivationHash {
    if let Some(hash) = known.get(path) {
        return *hash;
    }
    for input in all[path].input_derivations.keys() {
        hash_of(input, all, known);
    }
    let hash = all[path].hash_modulo(&StoreDir::default(), |input| known.get(input).copied()).unwrap();
    known.insert(path.clone(), hash);
    hash
}

#[test]
fn bytes_and_paths_are_nixs() {
    let store = StoreDir::default();
    let files = read();
    assert_eq!(files.len(), 18);
    let all: BTreeMap<_, _> =
        files.iter().map(|(path, bytes)| (path.clone(), Derivation::parse(&store, bytes).unwrap())).collect();
    let mut known = HashMap::new();
    let listed = include_str!("data/derivations/outputs");
    assert_eq!(listed.lines().count(), all.len());
    for line in listed.lines() {
        let mut words = line.split_ascii_whitespace();
        let path: StorePath = words.next().unwrap().parse().unwrap();
        let mut expected: Vec<&str> = words.collect();
        expected.sort_unstable();
        let derivation = &all[&path];
        assert_eq!(derivation.render(&store), files[&path], "{path}");
        assert_eq!(derivation.store_path(&store, path.name()).unwrap(), path);
        hash_of(&path, &all, &mut known);
        let outputs = derivation.output_paths(&store, path.name(), |input| known.get(input).copied()).unwrap();
        assert!(outputs.keys().eq(derivation.outputs.keys()));
        let mut computed: Vec<String> = outputs
            .values()
            .filter_map(|output| match output {
                OutputPath::Known(path) => Some(store.join(path)),
                OutputPath::Unknown => None,
            })
            .collect();
        computed.sort_unstable();
        assert_eq!(computed, expected, "{path}");
    }
    // Only what is content-addressed, or needs such, has unknown outputs.
    let unknown = listed.lines().filter(|line| !line.contains("/nix/store/"));
    assert!(unknown.clone().all(|line| line.contains("floating")) && unknown.count() == 3);
}

/// Two fetchers of the same contents are two derivations, and whoever uses either comes out at the same path.
#[test]
fn how_a_fixed_output_is_fetched_does_not_matter() {
    let store = StoreDir::default();
    let named = |name: &str| -> Vec<(StorePath, Derivation)> {
        let name: StorePathName = name.parse().unwrap();
        let of_that_name = read().into_iter().filter(|(path, _)| *path.name() == name);
        of_that_name.map(|(path, bytes)| (path, Derivation::parse(&store, &bytes).unwrap())).collect()
    };
    for name in ["flat.tar.gz.drv", "user.drv"] {
        let [a, b] = &named(name)[..] else { panic!("{name}") };
        assert_ne!(a.0, b.0);
        assert_eq!(a.1.outputs, b.1.outputs);
    }
    let [a, b] = &named("flat.tar.gz.drv")[..] else { panic!() };
    assert_eq!(a.1.hash_modulo(&store, |_| None), b.1.hash_modulo(&store, |_| None));
    assert!(named("no-chroot.drv")[0].1.has_flag("__noChroot") && named("structured.drv")[0].1.has_flag("__noChroot"));
    assert!(!named("leaf-1.0.drv")[0].1.has_flag("__noChroot"));
}
