//! From messages to steps: which chunk comes next, and where it is to come from.

use std::vec::IntoIter;

use bytes::Bytes;
use protocol::{
    Manifest, ManifestEntry,
    attic::UploadPathNarInfo,
    push::{Bitmap, ChunkMessage, MAX_PATH_CHUNKS, Message, StreamError},
};

/// One step of a stream.
#[derive(Debug)]
pub(super) enum Step {
    /// A path begins.
    Begin(Box<UploadPathNarInfo>),
    /// The next chunk of the path was sent: its frame.
    Sent(ManifestEntry, Bytes),
    /// The next chunk of the path has to be there.
    Known(ManifestEntry),
    /// The path ends.
    End,
    /// The path does not come.
    Withdrawn,
    /// A chunk for a path of a later stream.
    Loose(ManifestEntry, Bytes),
}

impl Step {
    /// The bytes that the step holds or will hold, uncompressed.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Sent(entry, _) | Self::Known(entry) | Self::Loose(entry, _) => u64::from(entry.size),
            Self::Begin(_) | Self::End | Self::Withdrawn => 0,
        }
    }
}

/// Keeps track of where in a path a stream is.
#[derive(Debug, Default)]
pub(super) struct Sequencer {
    open: Option<Open>,
}

/// A path that has not ended.
#[derive(Debug, Default)]
struct Open {
    /// What is known of its chunks: all, or the part that came last.
    manifest: Manifest,
    sent: Bitmap,
    /// Which of them comes next.
    position: usize,
    /// Whether it comes in parts, and how many chunks the parts so far had.
    parts: Option<usize>,
}

impl Sequencer {
    /// The steps that a message settles.
    pub(super) fn next(&mut self, message: Message) -> Result<IntoIter<Step>, StreamError> {
        let mut steps = Vec::new();
        match (message, self.open.take()) {
            (Message::Path(path), None) => {
                steps.push(Step::Begin(Box::new(path.info)));
                self.advance(Open { manifest: path.manifest, sent: path.sent, ..Open::default() }, &mut steps);
            }
            (Message::Opening(info), None) => {
                steps.push(Step::Begin(info));
                self.open = Some(Open { parts: Some(0), ..Open::default() });
            }
            (Message::Chunk(chunk), None) => steps.push(Step::Loose(entry(&chunk), chunk.frame)),
            (Message::Chunk(chunk), Some(mut open)) => {
                let entry = entry(&chunk);
                if open.manifest.0.get(open.position) != Some(&entry) {
                    let text = format!("chunk {:?} is not the one that the path waits for", chunk.hash);
                    return Err(StreamError::Malformed(text));
                }
                steps.push(Step::Sent(entry, chunk.frame));
                open.position += 1;
                self.advance(open, &mut steps);
            }
            (Message::Part(part), Some(open)) if open.is_between_parts() => {
                let count = open.parts.unwrap_or_default() + part.manifest.0.len();
                if count > MAX_PATH_CHUNKS {
                    return Err(StreamError::TooLarge(count as u64));
                }
                self.advance(
                    Open { manifest: part.manifest, sent: part.sent, position: 0, parts: Some(count) },
                    &mut steps,
                );
            }
            (Message::Closing, Some(open)) if open.is_between_parts() => steps.push(Step::End),
            (Message::Withdrawal, Some(open)) if open.is_between_parts() => steps.push(Step::Withdrawn),
            (Message::Path(_) | Message::Opening(_), Some(_)) => {
                return Err(malformed("a path begins before the one before it has all its chunks"));
            }
            (Message::Part(_) | Message::Closing | Message::Withdrawal, _) => {
                return Err(malformed("a part of a path comes where none can be"));
            }
        }
        Ok(steps.into_iter())
    }

    /// Takes the chunks that are not sent, up to the next one that is.
    fn advance(&mut self, mut open: Open, steps: &mut Vec<Step>) {
        while let Some(entry) = open.manifest.0.get(open.position) {
            if open.sent.contains(open.position) {
                self.open = Some(open);
                return;
            }
            steps.push(Step::Known(*entry));
            open.position += 1;
        }
        match open.parts {
            Some(_) => self.open = Some(open),
            None => steps.push(Step::End),
        }
    }

    /// Ends the stream.
    pub(super) fn finish(&self) -> Result<(), StreamError> {
        if self.open.is_none() { Ok(()) } else { Err(StreamError::Cut) }
    }
}

impl Open {
    fn is_between_parts(&self) -> bool {
        self.parts.is_some() && self.position == self.manifest.0.len()
    }
}

fn malformed(text: &str) -> StreamError {
    StreamError::Malformed(text.to_owned())
}

fn entry(chunk: &ChunkMessage) -> ManifestEntry {
    ManifestEntry { hash: chunk.hash, size: chunk.size }
}

#[cfg(test)]
mod tests {
    use protocol::{
        ChunkHash,
        push::{PartMessage, PathMessage},
    };

    use super::*;

    fn chunk(n: u8) -> Message {
        Message::Chunk(ChunkMessage { hash: ChunkHash([n; 32]), size: 10, frame: Bytes::new() })
    }

    fn path(manifest: &[u8], sent: &[u8]) -> Message {
        let entry = |n: &u8| ManifestEntry { hash: ChunkHash([*n; 32]), size: 10 };
        Message::Path(Box::new(PathMessage {
            info: UploadPathNarInfo {
                cache: "main".parse().unwrap(),
                store_path_hash: String::new(),
                store_path: String::new(),
                references: vec![],
                system: None,
                deriver: None,
                sigs: vec![],
                ca: None,
                nar_hash: String::new(),
                nar_size: 1,
            },
            manifest: Manifest(manifest.iter().map(entry).collect()),
            sent: manifest.iter().map(|n| sent.contains(n)).collect(),
        }))
    }

    fn opening() -> Message {
        let Message::Path(path) = path(&[], &[]) else { unreachable!() };
        Message::Opening(Box::new(path.info))
    }

    fn part(manifest: &[u8], sent: &[u8]) -> Message {
        let Message::Path(path) = path(manifest, sent) else { unreachable!() };
        Message::Part(PartMessage { manifest: path.manifest, sent: path.sent })
    }

    fn steps(messages: Vec<Message>) -> Result<String, StreamError> {
        let mut sequencer = Sequencer::default();
        let mut text = String::new();
        for message in messages {
            for step in sequencer.next(message)? {
                text += &match step {
                    Step::Begin(_) => "(".to_owned(),
                    Step::Sent(entry, _) => format!("s{}", entry.hash.0[0]),
                    Step::Known(entry) => format!("k{}", entry.hash.0[0]),
                    Step::End => ")".to_owned(),
                    Step::Withdrawn => "!".to_owned(),
                    Step::Loose(entry, _) => format!("l{}", entry.hash.0[0]),
                };
            }
        }
        sequencer.finish()?;
        Ok(text)
    }

    #[test]
    fn chunks_come_where_the_manifest_has_them() {
        let messages = vec![chunk(9), path(&[1, 2, 3, 4], &[2, 3]), chunk(2), chunk(3), path(&[9], &[]), chunk(8)];
        assert_eq!(steps(messages).unwrap(), "l9(k1s2s3k4)(k9)l8");
    }

    #[test]
    fn a_stream_out_of_order_is_refused() {
        assert!(steps(vec![path(&[1, 2], &[1, 2]), chunk(2)]).is_err());
        assert!(steps(vec![path(&[1], &[1]), path(&[1], &[])]).is_err());
        assert_eq!(steps(vec![path(&[1], &[1])]), Err(StreamError::Cut));
    }

    #[test]
    fn a_path_may_come_in_parts() {
        use Message::{Closing, Withdrawal};
        let parts =
            |end| vec![opening(), part(&[1, 2], &[2]), chunk(2), part(&[], &[]), part(&[3], &[]), end, chunk(4)];
        assert_eq!(steps(parts(Closing)).unwrap(), "(k1s2k3)l4");
        assert_eq!(steps(parts(Withdrawal)).unwrap(), "(k1s2k3!l4");
        assert_eq!(steps(vec![opening(), Closing]).unwrap(), "()");
        assert_eq!(steps(vec![opening(), part(&[1], &[])]), Err(StreamError::Cut));
        for out_of_place in [
            vec![part(&[1], &[])],
            vec![Closing],
            vec![Withdrawal],
            vec![opening(), chunk(1)],
            vec![opening(), opening()],
            vec![opening(), part(&[1], &[1]), Closing],
            vec![opening(), part(&[1], &[1]), part(&[2], &[])],
            vec![path(&[1], &[1]), part(&[2], &[])],
        ] {
            assert!(matches!(steps(out_of_place), Err(StreamError::Malformed(_))));
        }
    }
}
