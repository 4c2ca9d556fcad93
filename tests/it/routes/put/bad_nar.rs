//! NAR files that are not what they should be.

use formats::{Compression, FileHash};

use super::Put;
use crate::{
    harness::{Node, Server, TestPath, compress},
    routes::{said::said, world::World},
};

/// Puts a file under the name that it should have, and expects it to be refused.
async fn refused(world: &World, compression: Compression, file: Vec<u8>, expected: &str, case: &str) {
    let url = format!("/main/nar/{}.nar{}", FileHash::digest_of(&file).nix32(), compression.suffix());
    let answer = world.admin.put(&url, file).await;
    assert_eq!(said(&answer), expected, "{case}: {}", answer.text());
    assert_eq!(world.admin.head(&url).await.status, 404, "{case}");
    world.untouched(case).await;
}

#[tokio::test]
async fn a_file_has_the_hash_that_it_is_named_by() {
    let world = World::new().await;
    let (put, other) = (Put::small("a").await, Put::small("b").await);
    let answer = world.admin.put(&other.nar_url("main"), put.file.clone()).await;
    world.refused(&put.path, &answer, "400 FileHashMismatch", "another file").await;
    assert_eq!(world.admin.head(&other.nar_url("main")).await.status, 404);
}

#[tokio::test]
async fn a_file_is_a_nar_in_the_compression_that_it_is_named_by() {
    let world = World::new().await;
    let nar = TestPath::small("a").nar;
    for compression in Compression::ALL {
        let name = compression.name();
        let of = async |bytes: &[u8]| compress(compression, bytes).await;
        refused(&world, compression, of(b"").await, "400 InvalidNar", &format!("{name}: nothing")).await;
        refused(&world, compression, of(b"#!/bin/sh\n").await, "400 InvalidNar", &format!("{name}: no NAR")).await;
        let short = of(&nar[..nar.len() - 8]).await;
        refused(&world, compression, short, "400 InvalidNar", &format!("{name}: a NAR cut short")).await;
        let long = of(&[&nar[..], b"\0\0\0\0\0\0\0\0"].concat()).await;
        refused(&world, compression, long, "400 InvalidNar", &format!("{name}: more than a NAR")).await;
    }
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let name = compression.name();
        refused(&world, compression, nar.to_vec(), "400 InvalidCompression", &format!("{name}: not compressed")).await;
        let mut cut = compress(compression, &nar).await;
        cut.truncate(cut.len() / 2);
        refused(&world, compression, cut, "400 InvalidCompression", &format!("{name}: cut off")).await;
    }
}

/// What comes behind is in the file's hash, and in nobody's NAR.
#[tokio::test]
async fn nothing_follows_the_compressed_nar() {
    let world = World::new().await;
    let nar = TestPath::small("a").nar;
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let mut file = compress(compression, &nar).await;
        file.extend_from_slice(b"#!/bin/sh\nexit 0\n");
        refused(&world, compression, file, "400 InvalidCompression", compression.name()).await;
    }
}

/// `xz`, `zstd`, `gzip` and `bzip2` in parallel write several streams, which are one file to everybody.
#[tokio::test]
async fn several_compressed_streams_are_one_nar() {
    let world = World::new().await;
    for compression in [Compression::Xz, Compression::Zstd, Compression::Gzip, Compression::Bzip2] {
        let path = TestPath::small(compression.name());
        let (front, back) = path.nar.split_at(path.nar.len() / 2);
        let file = [compress(compression, front).await, compress(compression, back).await].concat();
        let url = format!("/main/nar/{}.nar{}", FileHash::digest_of(&file).nix32(), compression.suffix());
        world.admin.put(&url, file).await.expect(200);
    }
}

#[tokio::test]
async fn a_small_file_that_unpacks_to_a_huge_nar_is_given_up() {
    let config = "[flywheel.limits]\nmax-nar-size = \"1 MiB\"\n";
    let world = World::of(Server::builder().config(config).start()).await;
    let zeros = TestPath::new("zeros", &Node::file(vec![0; 8 << 20]));
    for compression in Compression::ALL.into_iter().filter(|&c| c != Compression::None) {
        let file = compress(compression, &zeros.nar).await;
        assert!(file.len() < 16 << 10, "{compression} makes a bomb of {} bytes", file.len());
        refused(&world, compression, file, "413 TooLarge", compression.name()).await;
    }
}

/// Without any limit on the size of NARs to speak of, the ratio tells.
#[tokio::test]
async fn nothing_unpacks_to_ten_thousand_times_its_size() {
    let server = Server::new();
    let zeros = TestPath::new("zeros", &Node::file(vec![0; 300 << 20]));
    let file = compress(Compression::Zstd, &zeros.nar).await;
    assert!(file.len() < 20_000, "a bomb of {} bytes", file.len());
    let answer = server.admin().put("/main/nar/0.nar.zst", file).await;
    assert_eq!(said(&answer), "413 TooLarge");
    assert!(answer.json()["message"].as_str().unwrap().contains("10000 times"), "{}", answer.text());
    assert!(server.rss_peak() < 256 << 20, "{} bytes of memory", server.rss_peak());
}

/// The header of a compressed file says how much memory it takes to undo it.
#[tokio::test]
async fn a_file_cannot_ask_for_any_amount_of_memory() {
    let world = World::new().await;
    // A frame with a window of 2 GiB, and one empty block.
    let zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0];
    refused(&world, Compression::Zstd, zstd, "400 InvalidCompression", "zstd").await;

    let mut xz = compress(Compression::Xz, &TestPath::small("a").nar).await;
    // Behind the stream's header: size, flags, LZMA2, one byte of properties, and that is the size of the dictionary.
    assert_eq!(xz[12..16], [2, 0, 0x21, 1]);
    xz[16] = 40;
    let checksum = crc32(&xz[12..20]);
    xz[20..24].copy_from_slice(&checksum.to_le_bytes());
    refused(&world, Compression::Xz, xz, "400 InvalidCompression", "xz").await;
    assert!(world.server.rss_peak() < 256 << 20, "{} bytes of memory", world.server.rss_peak());
}

fn crc32(bytes: &[u8]) -> u32 {
    let byte =
        |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)));
    !bytes.iter().fold(!0, byte)
}

#[tokio::test]
async fn a_nar_is_not_encoded_on_top() {
    let world = World::new().await;
    let put = Put::small("a").await;
    let request = world.admin.request(reqwest::Method::PUT, &put.nar_url("main"));
    let answer = crate::harness::answer(request.header("content-encoding", "gzip").body(put.file.clone())).await;
    world.refused(&put.path, &answer, "415 UnsupportedEncoding", "gzip").await;
}
