//! Memory is bounded by configuration, not by what comes in.

use bytes::{Bytes, BytesMut};
use formats::{NarHash, nar::Writer};
use futures::{future::join_all, stream};
use reqwest::Body;
use sha2::{Digest, Sha256};

use crate::harness::{Answer, Http, Seed, Server, TestPath};

const MIB: u64 = 1 << 20;
/// How often a stamp makes the noise different from the noise before; more often than any chunk is cut.
const STAMP_EVERY: usize = 4096;

/// A NAR of one file of so many MiB that do not compress and do not repeat; made as it is sent.
struct BigNar {
    path: TestPath,
    label: String,
    mebibytes: u64,
    noise: Bytes,
}

impl BigNar {
    fn new(label: &str, mebibytes: u64) -> Self {
        let noise = Bytes::from(Seed::new(0, label).bytes(1 << 20));
        let mut path = TestPath::small(label);
        path.nar = Bytes::new();
        let mut big = Self { path, label: label.to_owned(), mebibytes, noise };
        let mut hasher = Sha256::new();
        let mut size = 0;
        for piece in big.pieces() {
            hasher.update(&piece);
            size += piece.len() as u64;
        }
        big.path.info.nar_hash = NarHash::from_bytes(hasher.finalize().into());
        big.path.info.nar_size = size;
        big
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> + use<> {
        let mut writer = Writer::new();
        writer.begin();
        writer.regular_begin(false, self.mebibytes * MIB);
        let begin = Bytes::from(writer.take());
        writer.regular_end(self.mebibytes * MIB);
        let end = Bytes::from(writer.take());
        let (noise, mut stamps) = (self.noise.clone(), Seed::new(1, &self.label));
        let contents = (0..self.mebibytes).map(move |_| {
            let mut piece = BytesMut::from(&noise[..]);
            for block in piece.chunks_mut(STAMP_EVERY) {
                stamps.fill(&mut block[..8]);
            }
            piece.freeze()
        });
        std::iter::once(begin).chain(contents).chain(std::iter::once(end))
    }

    async fn push(&self, http: &Http) -> Answer {
        let pieces = self.pieces().map(Ok::<_, std::io::Error>);
        http.upload_as(&self.path.upload_info("main"), Body::wrap_stream(stream::iter(pieces))).await
    }
}

/// The most memory that a fresh server takes for these pushes, all at once.
async fn peak(nars: &[BigNar]) -> u64 {
    let server = Server::new();
    let http = server.admin();
    for answer in join_all(nars.iter().map(|nar| nar.push(&http))).await {
        answer.expect(200);
    }
    server.rss_peak()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_pushes_of_large_nars_fit_in_256_mib() {
    let nars: Vec<BigNar> = (0..8).map(|i| BigNar::new(&format!("parallel-{i}"), 200)).collect();
    let peak = peak(&nars).await;
    eprintln!("8 pushes of 200 MiB at once: peak {} MiB", peak / MIB);
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_nar() {
    let small = peak(&[BigNar::new("small", 100)]).await;
    let large = peak(&[BigNar::new("large", 400)]).await;
    eprintln!("a push of 100 MiB: peak {} MiB; of 400 MiB: {} MiB", small / MIB, large / MIB);
    assert!(large < small + 32 * MIB, "{} MiB for 100 MiB, {} MiB for 400 MiB", small / MIB, large / MIB);
}
