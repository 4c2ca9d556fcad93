//! The file that remembers what is queued.
//!
//! A line for each change: `+` and a store path that came, `-` and one that went. So an addition is one append, and whatever a
//! crash leaves is a valid beginning, apart from a last line that is cut off.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use formats::StorePath;

/// Below so many lines it is not worth writing the file anew.
const SHORT_LINES: usize = 4096;

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Came,
    Went,
}

/// The file, open for more.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// None if an append failed, which may have left half a line at the end: nothing may be added after that.
    file: Option<File>,
    lines: usize,
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// What came and did not go.
    pub(super) paths: BTreeSet<StorePath>,
    /// Lines that mean nothing.
    pub(super) damaged: usize,
}

impl Journal {
    /// Opens the journal, writing it anew without what is over.
    pub(super) fn open(path: PathBuf) -> io::Result<(Self, Contents)> {
        let contents = read(&path)?;
        let mut journal = Self { path, file: None, lines: 0 };
        journal.rewrite(&contents.paths)?;
        Ok((journal, contents))
    }

    /// Adds a change of each of `paths`; returns once what came is on the disk.
    ///
    /// `all` is what is queued after the change.
    pub(super) fn append(&mut self, change: Change, paths: &[StorePath], all: &BTreeSet<StorePath>) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| self.lines < SHORT_LINES.max(4 * all.len())) else {
            return self.rewrite(all);
        };
        let written = file.write_all(&lines(change, paths)).and_then(|()| match change {
            Change::Came => file.sync_data(),
            // If this is forgotten, the cache is asked about the paths once more, and that is all.
            Change::Went => Ok(()),
        });
        match written {
            Ok(()) => self.lines += paths.len(),
            Err(_) => self.file = None,
        }
        written
    }

    fn rewrite(&mut self, all: &BTreeSet<StorePath>) -> io::Result<()> {
        self.file = None;
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        let paths: Vec<StorePath> = all.iter().cloned().collect();
        file.write_all(&lines(Change::Came, &paths))?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        (self.file, self.lines) = (Some(file), all.len());
        Ok(())
    }
}

/// Reads a journal, also one that somebody else is writing; nothing is in one that is not there.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    match fs::read(path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contents::default()),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Contents {
    let mut contents = Contents::default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let change = line.split_at_checked(1).and_then(|(sign, path)| Some((sign, path.parse().ok()?)));
        match change {
            Some(("+", path)) => drop(contents.paths.insert(path)),
            Some(("-", path)) => drop(contents.paths.remove(&path)),
            Some(_) | None => contents.damaged += 1,
        }
    }
    contents
}

fn lines(change: Change, paths: &[StorePath]) -> Vec<u8> {
    let sign = match change {
        Change::Came => '+',
        Change::Went => '-',
    };
    paths.iter().flat_map(|path| format!("{sign}{path}\n").into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    fn names(contents: &Contents) -> Vec<String> {
        contents.paths.iter().map(|path| path.name().to_string()).collect()
    }

    #[test]
    fn a_line_that_is_cut_off_or_damaged_costs_no_other() {
        let text = format!(
            "+{}\n+{}\n-{}\nrubbish\n\n+\0\0\0\n+{}\n+{}",
            path("a"),
            path("b"),
            path("a"),
            path("c"),
            path("d")
        );
        let contents = parse(&text);
        assert_eq!((names(&contents), contents.damaged), (vec!["b".to_owned(), "c".to_owned()], 3));
        assert_eq!(parse("+x"), Contents::default());
        assert_eq!(parse("€\n").damaged, 1);
    }

    #[test]
    fn what_was_added_is_there_after_any_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let (mut journal, contents) = Journal::open(file.clone()).unwrap();
        assert_eq!(contents, Contents::default());
        let all = [path("a"), path("b")].into();
        journal.append(Change::Came, &[path("a"), path("b")], &all).unwrap();
        journal.append(Change::Went, &[path("a")], &[path("b")].into()).unwrap();
        assert_eq!(names(&read(&file).unwrap()), ["b"]);
        // As a crash in the middle of a line leaves it.
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"+aaaa").unwrap();
        let (mut journal, contents) = Journal::open(file.clone()).unwrap();
        assert_eq!((names(&contents), contents.damaged), (vec!["b".to_owned()], 0));
        journal.append(Change::Came, &[path("c")], &[path("b"), path("c")].into()).unwrap();
        assert_eq!(names(&read(&file).unwrap()), ["b", "c"]);
    }

    #[test]
    fn the_file_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let (mut journal, _) = Journal::open(file.clone()).unwrap();
        let (one, none): (BTreeSet<_>, BTreeSet<_>) = ([path("a")].into(), [].into());
        for _ in 0..SHORT_LINES {
            journal.append(Change::Came, &[path("a")], &one).unwrap();
            journal.append(Change::Went, &[path("a")], &none).unwrap();
        }
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= SHORT_LINES, "{lines}");
        assert_eq!(read(&file).unwrap(), Contents::default());
    }

    #[test]
    fn a_failed_append_leaves_nothing_behind_that_would_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let (mut journal, _) = Journal::open(file.clone()).unwrap();
        // A file that takes no bytes stands for a full disk.
        journal.file = Some(File::open(&file).unwrap());
        let all = [path("a"), path("b")].into();
        assert!(journal.append(Change::Came, &[path("a")], &all).is_err());
        fs::write(&file, "+half of a li").unwrap();
        journal.append(Change::Came, &[path("b")], &all).unwrap();
        assert_eq!(names(&read(&file).unwrap()), ["a", "b"]);
    }
}
