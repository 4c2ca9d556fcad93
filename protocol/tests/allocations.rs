//! What cutting costs, counted in allocations: a copy or a buffer that comes in unseen shows here, on any machine.

use allocation_counter::measure;
use formats::nar::Limits;
use protocol::{ChunkHash, ChunkSizes, NarCutter};

const BYTES: usize = 64 << 20;

/// A NAR of one file of noise, which is cut by its content.
fn nar() -> Vec<u8> {
    let mut nar = Vec::with_capacity(BYTES + 200);
    let word = |nar: &mut Vec<u8>, bytes: &[u8]| {
        nar.extend((bytes.len() as u64).to_le_bytes());
        nar.extend(bytes);
        nar.resize(nar.len().next_multiple_of(8), 0);
    };
    for text in ["nix-archive-1", "(", "type", "regular", "contents"] {
        word(&mut nar, text.as_bytes());
    }
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..BYTES / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    word(&mut nar, &noise);
    word(&mut nar, b")");
    nar
}

#[test]
fn cutting_and_naming_fills_one_buffer_again_and_again() {
    let nar = nar();
    let mut chunks = 0_u64;
    let info = measure(|| {
        let mut cutter = NarCutter::new(ChunkSizes::default(), Limits::default());
        for piece in nar.chunks(256 << 10) {
            cutter.push(piece, |_| {}).unwrap();
            while let Some(chunk) = cutter.next_chunk() {
                let _ = std::hint::black_box(ChunkHash::of(&chunk));
                chunks += 1;
            }
        }
        chunks += cutter.finish().unwrap().len() as u64;
    });
    println!("{chunks} chunks: {info:?}");
    assert!(chunks > 30);
    // Chunks are parts of a buffer that is filled again.
    assert!(info.count_total < chunks / 2, "{} allocations for {chunks} chunks", info.count_total);
    assert!(info.bytes_total < 40 << 20, "{} bytes are allocated to cut {BYTES}", info.bytes_total);
    assert!(info.bytes_max < 30 << 20, "{} bytes are held at once", info.bytes_max);
}
