use std::collections::HashSet;

use formats::nar::{Limits, Writer};
use proptest::prelude::*;

use super::*;
use crate::ChunkHash;

fn sizes() -> ChunkSizes {
    ChunkSizes::new(2048, 1024, 4096, 16384).unwrap()
}

/// Bytes that look random and are the same every time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

/// A directory of files named in order.
fn nar_of(files: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.directory_begin();
    for (i, contents) in files.iter().enumerate() {
        writer.entry_begin(format!("{i:05}").as_bytes());
        writer.regular_begin(false, contents.len() as u64);
        writer.contents(contents);
        writer.regular_end(contents.len() as u64);
        writer.entry_end();
    }
    writer.directory_end();
    writer.take()
}

fn cut(nar: &[u8], step: usize) -> Vec<Bytes> {
    let mut cutter = NarCutter::new(sizes(), Limits::default());
    let mut chunks = Vec::new();
    for piece in nar.chunks(step.max(1)) {
        cutter.push(piece, |_| {}).unwrap();
        chunks.extend(std::iter::from_fn(|| cutter.next_chunk()));
    }
    chunks.extend(cutter.finish().unwrap());
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_are_the_nar_however_it_arrives(
        files in prop::collection::vec((any::<u64>(), 0_usize..40_000), 0..12),
        step in 1_usize..50_000,
    ) {
        let files: Vec<Vec<u8>> = files.into_iter().map(|(seed, length)| noise(seed, length)).collect();
        let nar = nar_of(&files);
        let chunks = cut(&nar, step);
        prop_assert_eq!(chunks.concat(), nar.clone());
        prop_assert!(chunks.iter().all(|c| c.len() <= sizes().max_size() && !c.is_empty()));
        prop_assert_eq!(cut(&nar, nar.len()), chunks);
    }
}

#[test]
fn a_small_nar_is_one_chunk() {
    assert_eq!(cut(&nar_of(&[noise(1, 1500)]), 100).len(), 1);
}

#[test]
fn a_large_file_keeps_its_chunks_when_its_neighbours_change() {
    let large = noise(7, 60_000);
    let names = |files: &[Vec<u8>]| cut(&nar_of(files), 8192).iter().map(|c| ChunkHash::of(c)).collect::<HashSet<_>>();
    let before = names(&[noise(1, 3000), large.clone(), noise(2, 700)]);
    let after = names(&[noise(3, 5000), large, noise(4, 100), noise(5, 90)]);
    assert!(
        before.intersection(&after).count() >= 4,
        "{} of {} in common",
        before.intersection(&after).count(),
        before.len()
    );
}

#[test]
fn a_changed_small_file_leaves_most_groups_alone() {
    let mut files: Vec<Vec<u8>> = (0..400).map(|i| noise(i, 200 + usize::try_from(i).unwrap() % 300)).collect();
    let before: HashSet<_> = cut(&nar_of(&files), 4096).iter().map(|c| ChunkHash::of(c)).collect();
    files[100] = noise(1_000_000, 333);
    let after: HashSet<_> = cut(&nar_of(&files), 4096).iter().map(|c| ChunkHash::of(c)).collect();
    assert!(after.len() > 20, "{}", after.len());
    assert!(after.difference(&before).count() <= 3, "{}", after.difference(&before).count());
}

/// Boundaries are protocol: a client and a server of different versions must cut alike.
#[test]
fn golden_cut_points() {
    let files: Vec<Vec<u8>> = [10, 500, 70_000, 0, 900, 1023, 1024, 3, 30_000, 8, 2000, 40, 41, 42]
        .iter()
        .map(|&n| noise(n, usize::try_from(n).unwrap()))
        .collect();
    let lengths: Vec<usize> = cut(&nar_of(&files), 1 << 20).iter().map(Bytes::len).collect();
    insta::assert_snapshot!(format!("{lengths:?}"));
}

#[test]
fn what_is_no_nar_is_refused() {
    let mut cutter = NarCutter::new(sizes(), Limits::default());
    assert!(cutter.push(&noise(1, 100), |_| {}).is_err());
    let nar = nar_of(&[noise(1, 100)]);
    let mut cutter = NarCutter::new(sizes(), Limits::default());
    cutter.push(&nar[..nar.len() - 1], |_| {}).unwrap();
    assert!(cutter.finish().is_err());
}
