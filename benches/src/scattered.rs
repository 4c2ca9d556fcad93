//! Two NARs of the same shape: one whose frames lie one behind the other, and one whose frames lie scattered.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use crate::sets::DataSet;

/// How many extents the scattered NAR has.
pub const EXTENTS: usize = 1000;
/// Each file is a chunk of its own: none shares with its neighbours, and none can be compressed.
const FILE_BYTES: usize = 96 << 10;

/// Adds three paths to the Nix store, to be pushed in this order: one of twice [`EXTENTS`] files; *scattered*, with every other one
/// of them; and *together*, with as many files of its own.
///
/// # Errors
/// nix does not take them.
pub fn sets(scratch: &Path) -> anyhow::Result<[DataSet; 3]> {
    let make = |name: &str, files: &mut dyn Iterator<Item = usize>| {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder)?;
        for n in files {
            fs::write(folder.join(format!("{n:06}")), noise(n))?;
        }
        let mut command = Command::new("nix-store");
        let output = command.arg("--add").arg(&folder).output().context("cannot start nix-store")?;
        anyhow::ensure!(output.status.success(), "nix-store --add: {}", String::from_utf8_lossy(&output.stderr));
        fs::remove_dir_all(&folder)?;
        let path = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(DataSet { name: name.to_owned(), paths: vec![path] })
    };
    Ok([
        make("all-files", &mut (0..2 * EXTENTS))?,
        make("scattered", &mut (0..2 * EXTENTS).step_by(2))?,
        make("together", &mut (2 * EXTENTS..3 * EXTENTS))?,
    ])
}

/// Bytes that look like no others.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 1);
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    while bytes.len() < FILE_BYTES {
        // xorshift64*.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes());
    }
    bytes
}
