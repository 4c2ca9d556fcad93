//! The reader against the writer, against itself in small pieces, and against bytes that are no NAR.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::arbitrary::{Tree, tree};

/// An event that owns what it says; pieces of contents are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Directory,
    Entry(Vec<u8>),
    EndDirectory,
    Regular { executable: bool, size: u64, offset: u64 },
    Contents(Vec<u8>),
    EndRegular,
    Symlink(Vec<u8>),
}

fn see(seen: &mut Vec<Seen>, event: Event<'_>) {
    match event {
        Event::Contents(bytes) => {
            assert!(!bytes.is_empty());
            if let Some(Seen::Contents(before)) = seen.last_mut() {
                before.extend_from_slice(bytes);
            } else {
                seen.push(Seen::Contents(bytes.to_vec()));
            }
        }
        Event::Directory => seen.push(Seen::Directory),
        Event::Entry { name } => seen.push(Seen::Entry(name.to_vec())),
        Event::EndDirectory => seen.push(Seen::EndDirectory),
        Event::Regular { executable, size, offset } => seen.push(Seen::Regular { executable, size, offset }),
        Event::EndRegular => seen.push(Seen::EndRegular),
        Event::Symlink { target } => seen.push(Seen::Symlink(target.to_vec())),
    }
}

fn read_in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Seen>, Error> {
    let mut reader = Reader::new(Limits::default());
    let mut seen = Vec::new();
    for piece in pieces {
        let before = reader.position();
        reader.push(piece, &mut |event| see(&mut seen, event))?;
        assert_eq!(reader.position(), before + piece.len() as u64);
    }
    reader.finish().map(|()| seen)
}

fn read(nar: &[u8]) -> Result<Vec<Seen>, Error> {
    read_in_pieces([nar])
}

/// Writes events back, as a copy of the NAR they came from.
fn write(seen: &[Seen]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    let (mut depth, mut size_of_file) = (0, 0);
    for event in seen {
        match event {
            Seen::Directory => {
                writer.directory_begin();
                depth += 1;
            }
            Seen::Entry(name) => writer.entry_begin(name),
            Seen::EndDirectory => {
                writer.directory_end();
                depth -= 1;
            }
            Seen::Regular { executable, size, offset } => {
                writer.regular_begin(*executable, *size);
                assert_eq!(*offset, writer.as_bytes().len() as u64);
                size_of_file = *size;
            }
            Seen::Contents(bytes) => writer.contents(bytes),
            Seen::EndRegular => writer.regular_end(size_of_file),
            Seen::Symlink(target) => writer.symlink(target),
        }
        if depth > 0 && matches!(event, Seen::EndDirectory | Seen::EndRegular | Seen::Symlink(_)) {
            writer.entry_end();
        }
    }
    writer.take()
}

/// A NAR of a directory with these entries, in this order, each an empty file.
fn directory(names: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.directory_begin();
    for name in names {
        writer.entry_begin(name);
        writer.regular_begin(false, 0);
        writer.regular_end(0);
        writer.entry_end();
    }
    writer.directory_end();
    writer.take()
}

fn nested(depth: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    for _ in 1..depth {
        writer.directory_begin();
        writer.entry_begin(b"d");
    }
    writer.directory_begin();
    writer.directory_end();
    for _ in 1..depth {
        writer.entry_end();
        writer.directory_end();
    }
    writer.take()
}

fn symlink(target: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.symlink(target);
    writer.take()
}

fn file(contents: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.regular_begin(false, contents.len() as u64);
    writer.contents(contents);
    writer.regular_end(contents.len() as u64);
    writer.take()
}

fn fails(nar: &[u8], position: u64, kind: &ErrorKind) {
    let whole = read(nar).unwrap_err();
    assert_eq!((&whole.kind, whole.position), (kind, position));
    assert_eq!(read_in_pieces(nar.chunks(1)).unwrap_err(), whole, "byte by byte");
}

#[test]
fn a_file_says_where_its_contents_are() {
    let nar = file(b"hello");
    assert_eq!(
        read(&nar).unwrap(),
        [Seen::Regular { executable: false, size: 5, offset: 96 }, Seen::Contents(b"hello".to_vec()), Seen::EndRegular]
    );
    assert_eq!(&nar[96..101], b"hello");
}

#[test]
fn contents_are_not_copied() {
    let nar = file(&[7; 4096]);
    let mut pieces = Vec::new();
    let mut reader = Reader::new(Limits::default());
    reader
        .push(&nar, &mut |event| {
            if let Event::Contents(bytes) = event {
                pieces.push(bytes.as_ptr_range());
            }
        })
        .unwrap();
    assert_eq!(pieces, [nar[96..96 + 4096].as_ptr_range()]);
}

#[test]
fn names_are_checked() {
    // "nix-archive-1", "(", "type", "directory", "entry", "(", "name" come before the first name.
    const FIRST: u64 = 24 + 16 + 16 + 24 + 16 + 16 + 16;
    for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
        fails(&directory(&[bad]), FIRST, &ErrorKind::BadName);
    }
    let second = FIRST + directory(&[b"b"]).len() as u64 - directory(&[]).len() as u64;
    for (one, two) in [(&b"b"[..], &b"a"[..]), (b"b", b"b"), (b"b", b"B"), (b"\xff", b"a")] {
        fails(&directory(&[one, two]), second, &ErrorKind::NotAscending);
    }
    let length = 256;
    fails(&directory(&[&[b'n'; 256]]), FIRST, &ErrorKind::NameTooLong { length, limit: 255 });
    for good in [&[b'n'; 255][..], b"...", b"\xff\xfe", b"a b\n"] {
        assert!(read(&directory(&[good])).is_ok(), "{good:?}");
    }
    // The order starts anew in every directory.
    assert!(read(&directory(&[b"A", b"a", b"a.", b"a0", b"aa", b"\xc3\xa9"])).is_ok());
}

#[test]
fn order_is_kept_apart_between_directories() {
    let mut writer = Writer::new();
    writer.begin();
    writer.directory_begin();
    for (outer, inner) in [(b"a", b"z"), (b"b", b"a")] {
        writer.entry_begin(outer);
        writer.directory_begin();
        writer.entry_begin(inner);
        writer.symlink(b"t");
        writer.entry_end();
        writer.directory_end();
        writer.entry_end();
    }
    let both = writer.as_bytes().len();
    writer.directory_end();
    let nar = writer.take();
    assert!(read(&nar).is_ok());
    // A third entry named like the second comes too late, though "z" was seen in between.
    let mut again = nar[..both].to_vec();
    again.extend_from_slice(&nar[56 + 24 + (both - 80) / 2..]);
    assert_eq!(read(&again).unwrap_err().kind, ErrorKind::NotAscending);
}

#[test]
fn depth_is_limited() {
    assert!(read(&nested(256)).is_ok());
    assert_eq!(read(&nested(257)).unwrap_err().kind, ErrorKind::TooDeep { limit: 256 });
}

#[test]
fn targets_are_checked() {
    assert!(read(&symlink(&[b't'; 4096])).is_ok());
    const TARGET: u64 = 24 + 16 + 16 + 16 + 16;
    fails(&symlink(&[b't'; 4097]), TARGET, &ErrorKind::TargetTooLong { length: 4097, limit: 4096 });
    fails(&symlink(b""), TARGET, &ErrorKind::BadTarget);
    fails(&symlink(b"a\0b"), TARGET, &ErrorKind::BadTarget);
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_kept() {
    // The length of a keyword, of a name, of contents.
    let mut nar = file(b"");
    nar[56..64].copy_from_slice(&u64::MAX.to_le_bytes());
    fails(&nar, 56, &ErrorKind::Expected { what: "'regular', 'symlink' or 'directory'" });
    let mut nar = directory(&[b"a"]);
    nar[128..136].copy_from_slice(&(6u64 << 40).to_le_bytes());
    fails(&nar, 128, &ErrorKind::NameTooLong { length: 6 << 40, limit: 255 });
    for size in [u64::MAX, u64::MAX - 95, i64::MAX as u64] {
        let mut nar = file(b"");
        nar[88..96].copy_from_slice(&size.to_le_bytes());
        fails(&nar, 88, &ErrorKind::ContentsTooLong { size });
    }
}

#[test]
fn padding_is_zero() {
    let nar = file(b"hello");
    for at in 101..104 {
        let mut nar = nar.clone();
        nar[at] = 1;
        fails(&nar, at as u64, &ErrorKind::Padding);
    }
    let mut nar = directory(&[b"abc"]);
    nar[128 + 8 + 7] = 1;
    fails(&nar, 128 + 8 + 7, &ErrorKind::Padding);
    let mut nar = symlink(b"t");
    nar[88 + 9] = b't';
    fails(&nar, 88 + 9, &ErrorKind::Padding);
}

#[test]
fn words_are_what_they_are() {
    fails(b"PK\x03\x04 this is a zip file", 0, &ErrorKind::Expected { what: "a NAR" });
    fails(b"\x0d\0\0\0\0\0\0\0nix-archive-2\0\0\0", 20, &ErrorKind::Expected { what: "a NAR" });
    let nar = file(b"x");
    for (at, expected) in [(64, "'regular', 'symlink' or 'directory'"), (80, "'executable' or 'contents'")] {
        let mut nar = nar.clone();
        nar[at] ^= 1;
        fails(&nar, at as u64 - 8, &ErrorKind::Expected { what: expected });
    }
    // A file without contents was never written by Nix, and newer versions do not read it.
    let mut bare = nar[..72].to_vec();
    bare.extend_from_slice(framing::CLOSE);
    fails(&bare, 72, &ErrorKind::Expected { what: "'executable' or 'contents'" });
    let last = nar.len() - 8;
    let mut nar = nar;
    nar[last] = b'(';
    fails(&nar, last as u64, &ErrorKind::Expected { what: "what the grammar has next" });
}

#[test]
fn the_end_is_the_end() {
    let nar = file(b"hello");
    for end in 0..nar.len() {
        let error = read(&nar[..end]).unwrap_err();
        assert_eq!(error, Error { position: end as u64, kind: ErrorKind::Truncated });
    }
    let mut longer = nar.clone();
    longer.push(0);
    fails(&longer, nar.len() as u64, &ErrorKind::Trailing);
}

#[test]
fn an_error_stays() {
    let mut reader = Reader::new(Limits::default());
    let error = reader.push(b"no", &mut |_| panic!("an event")).unwrap_err();
    assert_eq!(reader.push(&file(b""), &mut |_| panic!("an event")).unwrap_err(), error);
    assert_eq!(reader.finish().unwrap_err(), error);
}

#[test]
fn listings_need_utf8() {
    for nar in [directory(&[b"\xff"]), symlink(b"\xff")] {
        let mut builder = ListingBuilder::new();
        Reader::new(Limits::default()).push(&nar, &mut |event| builder.push(event)).unwrap();
        assert_eq!(builder.finish(), None);
    }
    let mut builder = ListingBuilder::new();
    builder.push(Event::Directory);
    assert_eq!(builder.finish(), None, "not finished");
    assert!(serde_json::from_str::<Listing>(r#"{"root":{"target":"x","type":"symlink"},"version":2}"#).is_err());
}

fn listing_of(nar: &[u8]) -> Listing {
    let mut builder = ListingBuilder::new();
    Reader::new(Limits::default()).push(nar, &mut |event| builder.push(event)).unwrap();
    builder.finish().unwrap()
}

/// What the tree looks like in a listing, with the contents found again at their offsets.
fn matches_listing(tree: &Tree, node: &Node, nar: &[u8]) -> bool {
    match (tree, node) {
        (Tree::File { executable, contents }, Node::Regular { executable: listed, nar_offset, size }) => {
            let start = usize::try_from(*nar_offset).unwrap();
            executable == listed && *size == contents.len() as u64 && nar[start..start + contents.len()] == contents[..]
        }
        (Tree::Symlink(target), Node::Symlink { target: listed }) => target == listed.as_bytes(),
        (Tree::Directory(entries), Node::Directory { entries: listed }) => {
            entries.len() == listed.len()
                && entries.iter().zip(listed).all(|((name, tree), (listed_name, node))| {
                    name == listed_name.as_bytes() && matches_listing(tree, node, nar)
                })
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(tree in tree(), cuts: Vec<prop::sample::Index>) {
        let nar = tree.nar();
        let seen = read(&nar).unwrap();
        prop_assert_eq!(write(&seen), &nar[..]);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(nar.len())).collect();
        cuts.extend([0, nar.len()]);
        cuts.sort_unstable();
        prop_assert_eq!(read_in_pieces(cuts.windows(2).map(|cut| &nar[cut[0]..cut[1]])).unwrap(), seen.clone());
        prop_assert_eq!(read_in_pieces(nar.chunks(1)).unwrap(), seen);
    }

    #[test]
    fn listings_find_everything(tree in tree()) {
        let nar = tree.nar();
        let listing = listing_of(&nar);
        prop_assert!(matches_listing(&tree, &listing.root, &nar));
        prop_assert_eq!(serde_json::from_str::<Listing>(&listing.render()).unwrap(), listing);
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_nar(tree in tree(), at: prop::sample::Index, byte: u8) {
        let mut nar = tree.nar();
        let at = at.index(nar.len());
        nar[at] = byte;
        if let Ok(seen) = read(&nar) {
            prop_assert_eq!(write(&seen), nar);
        } else {
            prop_assert_eq!(read_in_pieces(nar.chunks(1)), read(&nar));
        }
    }

    #[test]
    fn any_bytes_after_a_good_start(start: prop::sample::Index, junk: Vec<u8>) {
        let mut nar = directory(&[b"a", b"b"]);
        nar.truncate(start.index(nar.len()));
        nar.extend_from_slice(&junk);
        if let Ok(seen) = read(&nar) {
            prop_assert_eq!(write(&seen), nar);
        }
    }
}

/// Puts a tree where its path says.
fn unpack(tree: &Tree, path: &Path) {
    match tree {
        Tree::File { executable, contents } => {
            fs::write(path, contents).unwrap();
            let mode = if *executable { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Tree::Symlink(target) => std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), path).unwrap(),
        Tree::Directory(entries) => {
            fs::create_dir(path).unwrap();
            for (name, node) in entries {
                unpack(node, &path.join(std::ffi::OsStr::from_bytes(name)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_oracle_packs_the_same(tree in tree()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        unpack(&tree, &path);
        let mut nar = Vec::new();
        nix_nar::Encoder::new(&path).unwrap().read_to_end(&mut nar).unwrap();
        prop_assert_eq!(nar, tree.nar());
    }
}
