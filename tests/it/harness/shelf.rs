//! Store paths that refer to each other, as files: what a client pushes from when there is no Nix.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use client::{
    api::{Api, MetadataStyle, Settings},
    nix::{LocalStore, StoreError},
    push::{ProtocolChoice, Push, PushOptions, Tuning},
    report::Silent,
};
use formats::{PathInfo, StoreDir, StorePath};
use protocol::Timestamp;

use super::{Node, Seed, Server, TestPath};

/// How many files paths share.
const POOL: usize = 200;

/// Paths in layers, each referring to some of the layers below, with files that many of them share.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: tempfile::TempDir,
    infos: BTreeMap<StorePath, PathInfo>,
    roots: Vec<StorePath>,
}

impl Shelf {
    /// So many paths; seven in ten are such that nothing refers to them.
    pub(crate) fn new(count: usize, seed: &mut Seed) -> Self {
        let folder = tempfile::Builder::new().prefix("flywheel-shelf-").tempdir_in("/tmp").unwrap();
        let pool: Vec<Node> = (0..POOL)
            .map(|at| {
                let most = if at % 20 == 0 { 400_000 } else { 40_000 };
                let length = seed.in_range(500..most);
                Node::noise(seed, length)
            })
            .collect();
        let mut shelf = Self { folder, infos: BTreeMap::new(), roots: Vec::new() };
        let mut below: Vec<StorePath> = Vec::new();
        for (layer, percent) in [2, 8, 20, 70].into_iter().enumerate() {
            let paths: Vec<StorePath> = (0..(count * percent / 100).max(1))
                .map(|at| {
                    let references = (0..seed.in_range(1..5)).filter(|_| !below.is_empty());
                    let references: BTreeSet<StorePath> = references.map(|_| seed.pick(&below).clone()).collect();
                    let length = if at % 50 == 49 { 3_000_000 } else { seed.in_range(200..20_000) };
                    let own = ("own".to_owned(), Node::noise(seed, length));
                    let shared = (0..seed.in_range(2..7)).map(|at| (format!("shared-{at}"), seed.pick(&pool).clone()));
                    let tree = Node::directory(shared.collect::<Vec<_>>().into_iter().chain([own]));
                    shelf.put(&format!("layer-{layer}-{at}"), &tree, references)
                })
                .collect();
            shelf.roots.clone_from(&paths);
            below.extend(paths);
        }
        shelf
    }

    fn put(&mut self, name: &str, tree: &Node, references: BTreeSet<StorePath>) -> StorePath {
        let TestPath { info, .. } = TestPath::new(name, tree).with_references(references);
        let path = info.path.clone();
        write(tree, &self.contents(&path));
        self.infos.insert(path.clone(), info);
        path
    }

    /// A client that pushes from a shelf to the cache `main`.
    pub(crate) async fn pushing(shelf: &Arc<Self>, server: &Server, protocol: ProtocolChoice) -> Push {
        let token = server.token(&["--cache", "main"]);
        let api = Api::new(Settings::new(server.url().parse().unwrap(), Some(token))).unwrap();
        let store = Arc::clone(shelf) as Arc<dyn LocalStore>;
        let options = PushOptions {
            jobs: NonZeroUsize::new(2).unwrap(),
            closure: true,
            ignore_upstream_filter: true,
            metadata: MetadataStyle::Shortest,
        };
        let push = Push::begin(api, store, Arc::new(Silent), "main".parse().unwrap(), options).await.unwrap();
        push.tuned(Tuning { protocol, ..Tuning::default() })
    }

    /// How many paths there are.
    pub(crate) fn len(&self) -> usize {
        self.infos.len()
    }

    /// The paths that nothing refers to.
    pub(crate) fn roots(&self) -> &[StorePath] {
        &self.roots
    }

    /// A path with all that it refers to.
    pub(crate) fn closure_of(&self, root: &StorePath) -> Vec<PathInfo> {
        self.closure(&BTreeSet::from([root.clone()])).unwrap()
    }
}

fn write(node: &Node, place: &Path) {
    match node {
        Node::File { contents, .. } => fs::write(place, contents).unwrap(),
        Node::Symlink(_) => panic!("there are none"),
        Node::Directory(entries) => {
            fs::create_dir(place).unwrap();
            for (name, node) in entries {
                write(node, &place.join(str::from_utf8(name).unwrap()));
            }
        }
    }
}

impl LocalStore for Shelf {
    fn store_dir(&self) -> &StoreDir {
        static DIR: LazyLock<StoreDir> = LazyLock::new(StoreDir::default);
        &DIR
    }

    fn closure(&self, roots: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        let mut closure = BTreeMap::new();
        let mut waiting: Vec<&StorePath> = roots.iter().collect();
        while let Some(path) = waiting.pop() {
            if closure.insert(path, self.infos[path].clone()).is_none() {
                waiting.extend(&self.infos[path].references);
            }
        }
        Ok(closure.into_values().collect())
    }

    fn path_infos(&self, paths: &BTreeSet<StorePath>) -> Result<Vec<PathInfo>, StoreError> {
        Ok(paths.iter().map(|path| self.infos[path].clone()).collect())
    }

    fn registrations(&self, paths: &BTreeSet<StorePath>) -> Result<BTreeMap<StorePath, Option<Timestamp>>, StoreError> {
        Ok(paths.iter().map(|path| (path.clone(), None)).collect())
    }

    fn contents(&self, path: &StorePath) -> PathBuf {
        self.folder.path().join(path.to_string())
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}
