//! Reading NARs, without I/O.

use std::mem;

use super::framing::{self, LENGTH, padding};
use super::{Error, ErrorKind, Event, Limits};

/// No NAR reaches this size: databases and Nix itself keep sizes in 63 bits.
const MAX_SIZE: u64 = i64::MAX as u64;

/// The framed length of the string that every NAR begins with.
const MAGIC: u64 = 24;

/// No word of the grammar after which there is a choice is longer.
const MAX_WORD: usize = 16;

/// Reads a NAR from pieces of any size and says what it holds.
///
/// Contents are passed on as slices of the input. Only a string that is split between two pieces is copied, into one
/// buffer that is reused; besides, the reader keeps the names on the way to the current node, to check their order.
/// After an error every further call returns the same error.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    state: State,
    /// The bytes taken in so far, those in `gathered` included.
    position: u64,
    /// The beginning of a string whose end has not come yet.
    gathered: Vec<u8>,
    open: OpenDirectories,
    failed: Option<Error>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Bytes that are the same in every NAR, and the string after them, unless the NAR ends there.
    Fixed {
        rest: &'static [u8],
        then: Option<Text>,
    },
    Text(Text),
    Contents {
        left: u64,
        padding: usize,
    },
    Padding {
        left: usize,
    },
    End,
}

/// A string that says something.
#[derive(Debug, Clone, Copy)]
enum Text {
    /// `regular`, `symlink` or `directory`.
    Type,
    /// `executable` or `contents`.
    Attribute,
    /// The length of the contents, which are then passed through.
    Size {
        executable: bool,
    },
    Target,
    /// `entry` or `)`.
    Member,
    Name,
}

impl Reader {
    /// Starts at the first byte of a NAR.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Fixed { rest: framing::BEGIN, then: Some(Text::Type) },
            position: 0,
            gathered: Vec::new(),
            open: OpenDirectories { names: Vec::new(), starts: Vec::new() },
            failed: None,
        }
    }

    /// Takes the next piece and reports what it completes.
    ///
    /// Events come in the order of the NAR. Those before an error have been reported and were right as far as they go.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance(input, sink).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Ends the input; an error unless the NAR ended with it.
    pub fn finish(self) -> Result<(), Error> {
        match (self.failed, self.state) {
            (Some(error), _) => Err(error),
            (None, State::End) => Ok(()),
            (None, _) => Err(Error { position: self.position, kind: ErrorKind::Truncated }),
        }
    }

    /// The number of bytes taken in.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether the NAR has been read to its end.
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::End)
    }

    fn advance(&mut self, mut input: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        while !input.is_empty() {
            match self.state {
                State::Fixed { rest, then } => self.fixed(rest, then, &mut input)?,
                State::Text(text) => self.text(text, &mut input, sink)?,
                State::Contents { left, padding } => {
                    let some = &input[..input.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                    sink(Event::Contents(some));
                    let left = left - some.len() as u64;
                    self.skip(some.len(), &mut input);
                    self.state =
                        if left > 0 { State::Contents { left, padding } } else { self.after_contents(padding, sink) };
                }
                State::Padding { left } => {
                    let some = &input[..left.min(input.len())];
                    if let Some(at) = some.iter().position(|byte| *byte != 0) {
                        return Err(self.error(at, ErrorKind::Padding));
                    }
                    let left = left - some.len();
                    self.skip(some.len(), &mut input);
                    self.state = self.after_contents(left, sink);
                }
                State::End => return Err(self.error(0, ErrorKind::Trailing)),
            }
        }
        Ok(())
    }

    fn fixed(&mut self, rest: &'static [u8], then: Option<Text>, input: &mut &[u8]) -> Result<(), Error> {
        let length = rest.len().min(input.len());
        let (expected, rest) = rest.split_at(length);
        if input[..length] != *expected {
            let at = input.iter().zip(expected).position(|(found, expected)| found != expected).unwrap_or(0);
            let what = if self.position + (at as u64) < MAGIC { "a NAR" } else { "what the grammar has next" };
            return Err(self.error(at, ErrorKind::Expected { what }));
        }
        self.skip(length, input);
        self.state = match then {
            _ if !rest.is_empty() => State::Fixed { rest, then },
            Some(text) => State::Text(text),
            None => State::End,
        };
        Ok(())
    }

    /// Reads a string, or as much of it as there is, and acts on it.
    fn text(&mut self, text: Text, input: &mut &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let start = self.position - self.gathered.len() as u64;
        let before = input.len();
        let mut buffer = mem::take(&mut self.gathered);
        let taken = match text {
            Text::Size { .. } => Ok(take_length(input, &mut buffer)),
            _ => take_string(input, &mut buffer, |length| self.check_length(text, length)),
        };
        self.position += (before - input.len()) as u64;
        let found = match taken {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.gathered = buffer;
                return Ok(());
            }
            Err((at, kind)) => return Err(Error { position: start + at as u64, kind }),
        };
        self.state = self.act(text, found, sink).map_err(|kind| Error { position: start, kind })?;
        buffer.clear();
        self.gathered = buffer;
        Ok(())
    }

    /// Refuses a string by its length alone, before anything is kept of it.
    fn check_length(&self, text: Text, length: u64) -> Result<usize, ErrorKind> {
        let limit = match text {
            Text::Name => self.limits.name,
            Text::Target => self.limits.target,
            Text::Type | Text::Attribute | Text::Member | Text::Size { .. } => MAX_WORD,
        };
        match usize::try_from(length) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(match text {
                Text::Name => ErrorKind::NameTooLong { length, limit },
                Text::Target => ErrorKind::TargetTooLong { length, limit },
                _ => text.expected(),
            }),
        }
    }

    fn act(&mut self, text: Text, found: &[u8], sink: &mut dyn FnMut(Event<'_>)) -> Result<State, ErrorKind> {
        let then = |rest, then| Ok(State::Fixed { rest, then: Some(then) });
        match (text, found) {
            (Text::Type, b"regular") => Ok(State::Text(Text::Attribute)),
            (Text::Type, b"symlink") => then(framing::TARGET, Text::Target),
            (Text::Type, b"directory") => {
                self.open.push(self.limits.depth)?;
                sink(Event::Directory);
                Ok(State::Text(Text::Member))
            }
            (Text::Attribute, b"executable") => then(framing::EXECUTABLE_CONTENTS, Text::Size { executable: true }),
            (Text::Attribute, b"contents") => Ok(State::Text(Text::Size { executable: false })),
            (Text::Size { executable }, length) => {
                let size = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
                let offset = self.position;
                if offset.checked_add(size).is_none_or(|end| end > MAX_SIZE) {
                    return Err(ErrorKind::ContentsTooLong { size });
                }
                sink(Event::Regular { executable, size, offset });
                let padding = padding(size);
                Ok(if size > 0 { State::Contents { left: size, padding } } else { self.after_contents(0, sink) })
            }
            (Text::Target, target) => {
                if target.is_empty() || target.contains(&0) {
                    return Err(ErrorKind::BadTarget);
                }
                sink(Event::Symlink { target });
                Ok(self.close_leaf())
            }
            (Text::Member, b"entry") => then(framing::ENTRY_NAME, Text::Name),
            (Text::Member, b")") => {
                self.open.pop();
                sink(Event::EndDirectory);
                Ok(if self.open.is_empty() {
                    State::End
                } else {
                    State::Fixed { rest: framing::CLOSE, then: Some(Text::Member) }
                })
            }
            (Text::Name, name) => {
                if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                    return Err(ErrorKind::BadName);
                }
                self.open.enter(name)?;
                sink(Event::Entry { name });
                then(framing::ENTRY_NODE, Text::Type)
            }
            (Text::Type | Text::Attribute | Text::Member, _) => Err(text.expected()),
        }
    }

    fn after_contents(&self, padding: usize, sink: &mut dyn FnMut(Event<'_>)) -> State {
        if padding > 0 {
            return State::Padding { left: padding };
        }
        sink(Event::EndRegular);
        self.close_leaf()
    }

    /// What follows a file or symbolic link.
    fn close_leaf(&self) -> State {
        if self.open.is_empty() {
            State::Fixed { rest: framing::CLOSE, then: None }
        } else {
            State::Fixed { rest: framing::CLOSE_NODE_AND_ENTRY, then: Some(Text::Member) }
        }
    }

    fn skip(&mut self, length: usize, input: &mut &[u8]) {
        *input = &input[length..];
        self.position += length as u64;
    }

    fn error(&self, ahead: usize, kind: ErrorKind) -> Error {
        Error { position: self.position + ahead as u64, kind }
    }
}

impl Text {
    const fn expected(self) -> ErrorKind {
        let what = match self {
            Self::Type => "'regular', 'symlink' or 'directory'",
            Self::Attribute => "'executable' or 'contents'",
            Self::Member => "'entry' or ')'",
            Self::Size { .. } => "a length",
            Self::Target => "a target",
            Self::Name => "a name",
        };
        ErrorKind::Expected { what }
    }
}

/// Takes a whole string from the input, or gathers what there is of it.
///
/// On failure the number is the distance of the fault from the string's first byte.
fn take_string<'t, 'input: 't>(
    input: &mut &'input [u8],
    buffer: &'t mut Vec<u8>,
    check_length: impl Fn(u64) -> Result<usize, ErrorKind>,
) -> Result<Option<&'t [u8]>, (usize, ErrorKind)> {
    let whole = |framed: &[u8], length: usize| match framed[length..].iter().position(|byte| *byte != 0) {
        Some(at) => Err((LENGTH + length + at, ErrorKind::Padding)),
        None => Ok(()),
    };
    let check_length = |length: [u8; LENGTH]| check_length(u64::from_le_bytes(length)).map_err(|kind| (0, kind));

    if buffer.is_empty()
        && let Some((length, rest)) = input.split_first_chunk()
    {
        let length = check_length(*length)?;
        if let Some((framed, rest)) = rest.split_at_checked(length.next_multiple_of(8)) {
            whole(framed, length)?;
            *input = rest;
            return Ok(Some(&framed[..length]));
        }
    }
    gather(buffer, input, LENGTH);
    let Some(length) = buffer.first_chunk() else { return Ok(None) };
    let length = check_length(*length)?;
    let end = LENGTH + length.next_multiple_of(8);
    gather(buffer, input, end);
    if buffer.len() < end {
        return Ok(None);
    }
    whole(&buffer[LENGTH..], length)?;
    Ok(Some(&buffer[LENGTH..LENGTH + length]))
}

/// Takes the eight bytes of a length, or gathers what there is of them.
fn take_length<'t>(input: &mut &[u8], buffer: &'t mut Vec<u8>) -> Option<&'t [u8]> {
    gather(buffer, input, LENGTH);
    (buffer.len() == LENGTH).then_some(buffer)
}

fn gather(buffer: &mut Vec<u8>, input: &mut &[u8], end: usize) {
    let (some, rest) = input.split_at(end.saturating_sub(buffer.len()).min(input.len()));
    buffer.extend_from_slice(some);
    *input = rest;
}

/// The directories on the way to the current node, each with the last name seen in it.
#[derive(Debug)]
struct OpenDirectories {
    /// The last names, outermost first, in one buffer so that a file costs no allocation.
    names: Vec<u8>,
    /// Where in `names` each directory's last name begins.
    starts: Vec<usize>,
}

impl OpenDirectories {
    const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    fn push(&mut self, limit: usize) -> Result<(), ErrorKind> {
        if self.starts.len() >= limit {
            return Err(ErrorKind::TooDeep { limit });
        }
        self.starts.push(self.names.len());
        Ok(())
    }

    /// Replaces the innermost directory's last name by its successor.
    fn enter(&mut self, name: &[u8]) -> Result<(), ErrorKind> {
        let start = self.starts.last().copied().unwrap_or_default();
        // No name is empty, so the empty one that stands for "none yet" comes before all.
        if name <= &self.names[start..] {
            return Err(ErrorKind::NotAscending);
        }
        self.names.truncate(start);
        self.names.extend_from_slice(name);
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.names.truncate(start);
        }
    }
}
