//! References before their referrers.

use std::collections::{HashMap, HashSet};

use formats::{NarInfo, StorePathHash};

/// Puts paths in such an order that each comes behind those of its references that are among them.
///
/// Store paths refer to each other without circles, but a source may say anything: a circle ends up in some order.
pub(super) fn references_first(mut paths: HashMap<StorePathHash, NarInfo>) -> Vec<NarInfo> {
    let mut roots: Vec<StorePathHash> = paths.keys().copied().collect();
    roots.sort_unstable();
    let mut seen = HashSet::new();
    let mut order = Vec::with_capacity(paths.len());
    // Not recursive: a chain of references may be long.
    let mut stack: Vec<(StorePathHash, bool)> = Vec::new();
    for root in roots {
        stack.push((root, false));
        while let Some((hash, is_open)) = stack.pop() {
            if is_open {
                order.push(hash);
            } else if paths.contains_key(&hash) && seen.insert(hash) {
                stack.push((hash, true));
                stack.extend(paths[&hash].info.references.iter().map(|reference| (*reference.hash(), false)));
            }
        }
    }
    order.iter().filter_map(|hash| paths.remove(hash)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use formats::{Compression, NarHash, PathInfo, StorePath};

    use super::*;

    fn path(number: u8) -> StorePath {
        StorePath::new(StorePathHash::from_bytes([number; 20]), "p".parse().unwrap())
    }

    fn narinfo(number: u8, references: &[u8]) -> (StorePathHash, NarInfo) {
        let info = PathInfo {
            path: path(number),
            nar_hash: NarHash::digest_of(&[number]),
            nar_size: 1,
            references: references.iter().copied().map(path).collect(),
            deriver: None,
            signatures: BTreeSet::new(),
            ca: None,
        };
        let narinfo = NarInfo {
            info,
            url: String::new(),
            compression: Compression::None,
            file_hash: None,
            file_size: None,
            extra: vec![],
        };
        (*path(number).hash(), narinfo)
    }

    #[test]
    fn each_path_comes_behind_its_references() {
        let paths = [
            narinfo(1, &[1, 2, 3]),
            narinfo(2, &[4, 9]),
            narinfo(3, &[2]),
            narinfo(4, &[]),
            narinfo(5, &[6]),
            narinfo(6, &[5]),
        ];
        let order = references_first(paths.into_iter().collect());
        let place = |number: u8| order.iter().position(|n| n.info.path == path(number)).unwrap();
        assert_eq!(order.len(), 6);
        assert!(place(4) < place(2) && place(2) < place(3) && place(3) < place(1));
    }
}
