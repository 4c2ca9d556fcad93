//! Reads a file tree as a NAR.

use std::{
    fs::{self, File, FileType},
    io::{self, Read},
    ops::ControlFlow,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::PermissionsExt,
    },
    path::{Path, PathBuf},
};

use bytes::Bytes;
use formats::nar::Writer;

/// How large the pieces are that a NAR is handed out in: large enough that their number costs nothing.
const PIECE_BYTES: usize = 256 << 10;
/// The most directories in one another; no package comes near, and a NAR reader has its limit too.
const MAX_DEPTH: usize = 256;
/// The bit that makes a file executable for Nix: its owner's.
const OWNER_EXECUTES: u32 = 0o100;

/// A file tree cannot be read as a NAR.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither file nor folder nor link.
    #[error("{0} is no file, folder or link, and a NAR can hold nothing else")]
    Kind(PathBuf),
    /// A file that became shorter under our eyes.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// Folders in folders without end.
    #[error("{0} lies too deep")]
    TooDeep(PathBuf),
    /// A name or the target of a link that no NAR may have.
    #[error("{path} holds what no NAR may hold")]
    Unfit {
        /// The tree.
        path: PathBuf,
        /// What it is.
        source: formats::nar::Error,
    },
}

/// Hands the NAR of `root` to `sink`, piece by piece, until it is whole or the sink has had enough.
///
/// Blocks. Holds one piece in memory, and the names of the folders that are open, whatever the size of the NAR.
///
/// # Errors
/// Something cannot be read, or cannot be put into a NAR.
pub fn dump(root: &Path, sink: &mut dyn FnMut(Bytes) -> ControlFlow<()>) -> Result<ControlFlow<()>, DumpError> {
    hand_out(root, &mut Vec::new(), &mut |piece| sink(std::mem::take(piece).into()))
}

/// The same for a sink that only looks: every piece goes through `buffer`, which the next NAR can use again.
///
/// # Errors
/// Something cannot be read, or cannot be put into a NAR.
pub fn dump_through(
    root: &Path,
    buffer: &mut Vec<u8>,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, DumpError> {
    buffer.clear();
    hand_out(root, buffer, &mut |piece| {
        let flow = sink(piece);
        piece.clear();
        flow
    })
}

/// Fills `piece` again and again; `sink` empties it.
fn hand_out(
    root: &Path,
    piece: &mut Vec<u8>,
    sink: &mut dyn FnMut(&mut Vec<u8>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, DumpError> {
    let mut dump = Dump { writer: Writer::new(), piece, sink };
    let kind = root.symlink_metadata().map_err(|source| DumpError::Read { path: root.to_owned(), source });
    let whole = kind.map_err(Stop::Error).and_then(|metadata| {
        dump.frame(Writer::begin)?;
        dump.node(root, metadata.file_type(), 0)?;
        dump.hand_out()
    });
    match whole {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(Stop::Enough) => Ok(ControlFlow::Break(())),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Why a dump ends early.
enum Stop {
    Enough,
    Error(DumpError),
}

struct Dump<'a> {
    writer: Writer,
    piece: &'a mut Vec<u8>,
    sink: &'a mut dyn FnMut(&mut Vec<u8>) -> ControlFlow<()>,
}

impl Dump<'_> {
    fn node(&mut self, path: &Path, kind: FileType, depth: usize) -> Result<(), Stop> {
        let read = |source| Stop::Error(DumpError::Read { path: path.to_owned(), source });
        if kind.is_dir() {
            self.directory(path, depth)
        } else if kind.is_file() {
            self.regular(path)
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(read)?;
            self.frame(|writer| writer.symlink(target.as_os_str().as_bytes()))
        } else {
            Err(Stop::Error(DumpError::Kind(path.to_owned())))
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) -> Result<(), Stop> {
        if depth == MAX_DEPTH {
            return Err(Stop::Error(DumpError::TooDeep(path.to_owned())));
        }
        let read = |source| Stop::Error(DumpError::Read { path: path.to_owned(), source });
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok((entry.file_name().into_vec(), entry.file_type()?))
        };
        let mut entries: Vec<(Vec<u8>, FileType)> =
            fs::read_dir(path).and_then(|entries| entries.map(entry).collect()).map_err(read)?;
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.frame(Writer::directory_begin)?;
        for (name, kind) in entries {
            self.frame(|writer| writer.entry_begin(&name))?;
            self.node(&path.join(std::ffi::OsStr::from_bytes(&name)), kind, depth + 1)?;
            self.frame(Writer::entry_end)?;
        }
        self.frame(Writer::directory_end)
    }

    fn regular(&mut self, path: &Path) -> Result<(), Stop> {
        let read = |source| Stop::Error(DumpError::Read { path: path.to_owned(), source });
        let mut file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let executable = metadata.permissions().mode() & OWNER_EXECUTES != 0;
        let size = metadata.len();
        self.frame(|writer| writer.regular_begin(executable, size))?;
        let mut left = size;
        while left > 0 {
            let room = PIECE_BYTES.saturating_sub(self.piece.len());
            let want = usize::try_from(left).map_or(room, |left| left.min(room));
            self.piece.reserve_exact(want);
            let got = Read::by_ref(&mut file).take(want as u64).read_to_end(self.piece).map_err(read)?;
            if got < want {
                return Err(Stop::Error(DumpError::Changed(path.to_owned())));
            }
            left -= got as u64;
            self.hand_out_if_full()?;
        }
        self.frame(|writer| writer.regular_end(size))
    }

    fn frame(&mut self, write: impl FnOnce(&mut Writer)) -> Result<(), Stop> {
        write(&mut self.writer);
        self.piece.extend_from_slice(self.writer.as_bytes());
        self.writer.clear();
        self.hand_out_if_full()
    }

    fn hand_out_if_full(&mut self) -> Result<(), Stop> {
        if self.piece.len() < PIECE_BYTES { Ok(()) } else { self.hand_out() }
    }

    fn hand_out(&mut self) -> Result<(), Stop> {
        if self.piece.is_empty() {
            return Ok(());
        }
        match (self.sink)(self.piece) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Enough),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use formats::nar;

    use super::*;

    fn whole(root: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        let dumped = dump(root, &mut |piece| {
            assert!(piece.len() < 2 * PIECE_BYTES);
            bytes.extend_from_slice(&piece);
            ControlFlow::Continue(())
        });
        assert_eq!(dumped.unwrap(), ControlFlow::Continue(()));
        let (mut through, mut buffer) = (Vec::new(), b"left over".to_vec());
        let dumped = dump_through(root, &mut buffer, &mut |piece| {
            through.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        assert_eq!((dumped.unwrap(), &through), (ControlFlow::Continue(()), &bytes));
        bytes
    }

    /// What a NAR says, one line for each event; contents as their length.
    fn events(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut contents = 0;
        let mut reader = nar::Reader::new(nar::Limits::default());
        reader
            .push(bytes, &mut |event| match event {
                nar::Event::Contents(bytes) => contents += bytes.len(),
                nar::Event::EndRegular => lines.push(format!("{} bytes", std::mem::take(&mut contents))),
                nar::Event::Regular { executable, size, .. } => lines.push(format!("file {executable} {size}")),
                nar::Event::Entry { name } => lines.push(format!("entry {}", name.escape_ascii())),
                nar::Event::Symlink { target } => lines.push(format!("link {}", target.escape_ascii())),
                nar::Event::Directory => lines.push("(".to_owned()),
                nar::Event::EndDirectory => lines.push(")".to_owned()),
            })
            .unwrap();
        reader.finish().unwrap();
        lines
    }

    #[test]
    fn a_tree_of_everything() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let large = PIECE_BYTES * 3 + 5;
        fs::write(root.join("large"), vec![1; large]).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub.txt"), "12345678").unwrap();
        symlink("no where", root.join("sub/link")).unwrap();
        fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\x01")), "x").unwrap();

        let large = &[format!("file false {large}"), format!("{large} bytes")];
        let expected: Vec<&str> = [
            "(",
            "entry empty",
            "file false 0",
            "0 bytes",
            "entry large",
            &large[0],
            &large[1],
            "entry run",
            "file true 10",
            "10 bytes",
            "entry sub",
            "(",
            "entry link",
            "link no where",
            ")",
            "entry sub.txt",
            "file false 8",
            "8 bytes",
            r"entry \xff\x01",
            "file false 1",
            "1 bytes",
            ")",
        ]
        .into();
        assert_eq!(events(&whole(root)), expected);
        assert_eq!(events(&whole(&root.join("sub/link"))), ["link no where"]);
    }

    #[test]
    fn a_sink_that_has_enough_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("large"), vec![1; PIECE_BYTES * 3]).unwrap();
        let mut calls = 0;
        let dumped = dump(folder.path(), &mut |_| {
            calls += 1;
            ControlFlow::Break(())
        });
        assert_eq!((dumped.unwrap(), calls), (ControlFlow::Break(()), 1));
    }

    #[test]
    fn what_no_nar_can_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let error = || dump(root, &mut |_| ControlFlow::Continue(())).unwrap_err();
        let socket = UnixListener::bind(root.join("socket")).unwrap();
        assert!(matches!(error(), DumpError::Kind(path) if path == root.join("socket")));
        drop(socket);
        fs::remove_file(root.join("socket")).unwrap();
        let mut deep = root.to_owned();
        for _ in 0..MAX_DEPTH {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        assert!(matches!(error(), DumpError::TooDeep(_)));
        assert!(matches!(dump(&root.join("absent"), &mut |_| ControlFlow::Continue(())), Err(DumpError::Read { .. })));
    }
}
