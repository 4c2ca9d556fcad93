//! What this machine can do: the limits that other figures are held against.

use std::{
    fs::File,
    hint::black_box,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

use crate::table::{Samples, Table};

const BYTES: usize = 64 << 20;

/// Rates of one core, and what a disk and the loopback device take; the median of five.
///
/// # Errors
/// The folder cannot be written to, or there is no loopback.
pub fn machine(scratch: &Path) -> anyhow::Result<Table> {
    let data = text();
    let mut table = Table::new(&["this machine", "GB/s, or as it says"]);
    let mut copy = vec![0_u8; BYTES];
    row(&mut table, "copying memory", || {
        copy.copy_from_slice(&data);
        black_box(&copy);
        Ok(())
    })?;
    row(&mut table, "SHA-256", || {
        black_box(Sha256::digest(&data));
        Ok(())
    })?;
    row(&mut table, "BLAKE3", || {
        black_box(protocol::ChunkHash::of(&data));
        Ok(())
    })?;
    let mut compressor = protocol::frame_compressor(3)?;
    let mut frames = Vec::new();
    row(&mut table, "zstd level 3, pieces of 1 MiB", || {
        frames = data.chunks(1 << 20).map(|piece| compressor.compress(piece)).collect::<Result<_, _>>()?;
        Ok(())
    })?;
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    row(&mut table, "zstd, decompressing them", || {
        for frame in &frames {
            black_box(decompressor.decompress(frame, 1 << 20)?);
        }
        Ok(())
    })?;
    row(&mut table, "loopback, one connection", || loopback(&data))?;
    let mut fsyncs = Samples::default();
    let mut file = File::create(scratch.join("fsync"))?;
    for _ in 0..50 {
        file.write_all(&data[..4096])?;
        let started = Instant::now();
        file.sync_data()?;
        fsyncs.add(started.elapsed().as_secs_f64() * 1e3);
    }
    table.row(vec!["fsync of 4 KiB, ms".to_owned(), fsyncs.show(2)]);
    Ok(table)
}

fn row(table: &mut Table, name: &str, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut samples = Samples::default();
    for _ in 0..5 {
        let started = Instant::now();
        work()?;
        samples.add(crate::account::ratio(BYTES as u64, 1_000_000_000) / started.elapsed().as_secs_f64());
    }
    table.row(vec![name.to_owned(), samples.show(2)]);
    Ok(())
}

/// Bytes that compress some three times, as what is in packages does.
fn text() -> Vec<u8> {
    let mut text = Vec::with_capacity(BYTES + 64);
    let mut state = 1_u64;
    while text.len() < BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Writing to a vector does not fail.
        let _ = write!(text, "{:08x} section.text.{} ", state >> 32, (state >> 50) % 500);
    }
    text.truncate(BYTES);
    text
}

fn loopback(data: &[u8]) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    thread::scope(|scope| {
        let received = scope.spawn(move || {
            let mut buffer = vec![0; 256 << 10];
            while receiver.read(&mut buffer)? > 0 {}
            std::io::Result::Ok(())
        });
        sender.write_all(data)?;
        drop(sender);
        received.join().map_err(|_| anyhow::anyhow!("the receiver failed"))??;
        Ok(())
    })
}
