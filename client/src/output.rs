//! What is printed where, and how the program ends.
//!
//! Standard output carries what was asked for, standard error everything else. No meaning is in colour alone.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

/// How the program ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    Ok,
    Failed,
    Usage,
    /// Some paths are in the cache, others are not.
    Partly,
    NotAllowed,
    Unreachable,
    /// That of a command that was run.
    Command(u8),
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Ok => 0,
            ExitStatus::Failed => 1,
            ExitStatus::Usage => 2,
            ExitStatus::Partly => 3,
            ExitStatus::NotAllowed => 4,
            ExitStatus::Unreachable => 5,
            ExitStatus::Command(code) => code,
        })
    }
}

/// Why the program ends otherwise than well, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: ExitStatus,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// An error with all its causes, on one line.
    pub(crate) fn of(status: ExitStatus, error: &dyn std::error::Error) -> Self {
        Self::new(status, chain(error))
    }

    /// The same, saying first what it is about.
    #[must_use]
    pub(crate) fn about(mut self, subject: impl Display) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and its causes, from the outermost in. Causes that say what was said already are left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// Prints; never fails, since a reader that went away is nobody's error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether there are people to show bars to.
    pub(crate) fn shows_bars(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// What was asked for.
    pub(crate) fn data(self, text: impl Display) {
        let _ = writeln!(io::stdout(), "{text}");
    }

    /// What is good to know.
    pub(crate) fn note(self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// What is not quite right.
    pub(crate) fn warning(self, text: impl Display) {
        let _ = writeln!(io::stderr(), "warning: {text}");
    }

    /// Why nothing came of it.
    pub(crate) fn failure(self, failure: &Failure) {
        let _ = writeln!(io::stderr(), "error: {}", failure.message);
        if let Some(hint) = &failure.hint {
            let _ = writeln!(io::stderr(), "hint: {hint}");
        }
    }
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, rounded down, without a detour through floating point.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 path`, `2 paths`.
pub(crate) fn paths(count: usize) -> String {
    if count == 1 { "1 path".to_owned() } else { format!("{count} paths") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let shown: Vec<String> = [0, 1023, 1024, 1536, 1 << 20, 539 << 20, (1 << 30) - 1, 5 << 40].map(size).into();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "539.0 MiB", "1023.9 MiB", "5.0 TiB"]);
        assert_eq!((paths(1), paths(0)), ("1 path".to_owned(), "0 paths".to_owned()));
    }

    #[test]
    fn causes_are_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        assert_eq!(chain(&Outer(io::Error::other("inner"))), "outer: inner");
        assert_eq!(chain(&io::Error::other(io::Error::other("inner"))), "inner");
    }
}
