use proptest::prelude::*;

use super::*;
use crate::ManifestEntry;

fn path() -> PathMessage {
    let entry = |n: u8| ManifestEntry { hash: ChunkHash([n; 32]), size: u32::from(n) };
    PathMessage {
        info: UploadPathNarInfo {
            cache: "main".parse().unwrap(),
            store_path_hash: "x".into(),
            store_path: "/nix/store/x".into(),
            references: vec![],
            system: None,
            deriver: None,
            sigs: vec![],
            ca: None,
            nar_hash: "sha256:x".into(),
            nar_size: 5,
        },
        manifest: Manifest((0..11).map(entry).collect()),
        sent: (0..11).map(|i| i % 3 == 0).collect(),
    }
}

fn chunk(length: usize) -> ChunkMessage {
    ChunkMessage { hash: ChunkHash([7; 32]), size: 300, frame: vec![9; length].into() }
}

fn stream() -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(path().encode());
    for length in [0, 1, 200, 70_000] {
        out.extend(chunk(length).encode_head());
        out.extend_from_slice(&chunk(length).frame);
    }
    out.extend(path().encode());
    out.extend(encode_opening(&path().info));
    out.extend(part().encode());
    out.extend(chunk(3).encode_head());
    out.extend_from_slice(&chunk(3).frame);
    out.extend(encode_closing());
    out.extend(encode_opening(&path().info));
    out.extend(encode_withdrawal());
    out
}

fn part() -> PartMessage {
    let PathMessage { manifest, sent, .. } = path();
    PartMessage { manifest, sent }
}

fn read(stream: &[u8], step: usize) -> Result<Vec<Message>, StreamError> {
    let mut reader = StreamReader::default();
    let mut messages = Vec::new();
    for piece in stream.chunks(step) {
        reader.push(piece);
        while let Some(message) = reader.next_message()? {
            messages.push(message);
        }
    }
    reader.finish()?;
    Ok(messages)
}

#[test]
fn messages_come_back_however_they_arrive() {
    let mut expected = vec![Message::Path(Box::new(path()))];
    expected.extend([0, 1, 200, 70_000].map(|n| Message::Chunk(chunk(n))));
    let opening = || Message::Opening(Box::new(path().info));
    expected.extend([Message::Path(Box::new(path())), opening(), Message::Part(part()), Message::Chunk(chunk(3))]);
    expected.extend([Message::Closing, opening(), Message::Withdrawal]);
    for step in [1, 2, 7, 1000, 1 << 20] {
        assert_eq!(read(&stream(), step).unwrap(), expected, "{step}");
    }
}

#[test]
fn streams_that_make_no_sense_are_refused() {
    assert_eq!(read(b"FLYPUSH2", 8), Err(StreamError::Magic));
    assert_eq!(read(b"FLYPUSH1\x09", 9), Err(StreamError::Kind(9)));
    assert_eq!(read(b"FLYPUSH1\x02\xff\xff\xff\xff\x7f", 20), Err(StreamError::TooLarge(0x7_ffff_ffff)));
    assert_eq!(
        read(b"FLYPUSH1\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 30),
        Err(StreamError::TooLarge(u64::MAX))
    );
    assert_eq!(read(b"FLYPUSH1\x05\x01x", 20), Err(StreamError::TooLarge(1)));
    let bomb = ChunkMessage { size: MAX_CHUNK_SIZE + 1, ..chunk(50) };
    let bomb = [&MAGIC[..], &bomb.encode_head(), &bomb.frame].concat();
    assert_eq!(read(&bomb, 64), Err(StreamError::TooLarge(u64::from(MAX_CHUNK_SIZE) + 1)));
    let whole = stream();
    for end in [0, 4, 9, 50, whole.len() - 1] {
        assert_eq!(read(&whole[..end], 64), Err(StreamError::Cut), "{end}");
    }
}

#[test]
fn results_are_lines_of_json() {
    let of = |outcome| serde_json::to_string(&PathResult { store_path: "/nix/store/x".into(), outcome }).unwrap();
    insta::assert_snapshot!(
        [
            of(PathOutcome::Stored { file_size: 7 }),
            of(PathOutcome::KeptOther),
            of(PathOutcome::ChunksMissing),
            of(PathOutcome::Refused { error: "InvalidNar".into(), message: "no".into(), retryable: false }),
        ]
        .join("\n")
    );
}

proptest! {
    #[test]
    fn a_bitmap_comes_back(bits: Vec<bool>) {
        let bitmap: Bitmap = bits.iter().copied().collect();
        for (position, bit) in bits.iter().enumerate() {
            prop_assert_eq!(bitmap.contains(position), *bit);
        }
        prop_assert!(!bitmap.contains(bits.len()));
        prop_assert_eq!(Bitmap::from_bytes(bitmap.as_bytes().to_vec(), bits.len()), Some(bitmap.clone()));
        prop_assert_eq!(Bitmap::from_bytes(bitmap.as_bytes().to_vec(), bits.len() + 8), None);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let mut stream = MAGIC.to_vec();
        stream.extend(bytes);
        let _ = read(&stream, 16);
    }
}
