//! From messages to steps: which chunk comes next, and where it is to come from.

use std::vec::IntoIter;

use bytes::Bytes;
use protocol::{
    ManifestEntry,
    attic::UploadPathNarInfo,
    push::{ChunkMessage, Message, PathMessage, StreamError},
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
    /// A chunk for a path of a later stream.
    Loose(ManifestEntry, Bytes),
}

impl Step {
    /// The bytes that the step holds or will hold, uncompressed.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Sent(entry, _) | Self::Known(entry) | Self::Loose(entry, _) => u64::from(entry.size),
            Self::Begin(_) | Self::End => 0,
        }
    }
}

/// Keeps track of where in a path a stream is.
#[derive(Debug, Default)]
pub(super) struct Sequencer {
    waiting: Option<Waiting>,
}

/// A path that waits for a chunk.
#[derive(Debug)]
struct Waiting {
    path: PathMessage,
    position: usize,
}

impl Sequencer {
    /// The steps that a message settles.
    pub(super) fn next(&mut self, message: Message) -> Result<IntoIter<Step>, StreamError> {
        let mut steps = Vec::new();
        match (message, self.waiting.take()) {
            (Message::Path(path), None) => {
                steps.push(Step::Begin(Box::new(path.info.clone())));
                self.advance(Waiting { path: *path, position: 0 }, &mut steps);
            }
            (Message::Path(_), Some(_)) => {
                return Err(StreamError::Malformed(
                    "a path begins before the one before it has all its chunks".to_owned(),
                ));
            }
            (Message::Chunk(chunk), None) => {
                let entry = entry(&chunk);
                steps.push(Step::Loose(entry, chunk.frame));
            }
            (Message::Chunk(chunk), Some(mut waiting)) => {
                let entry = entry(&chunk);
                if waiting.path.manifest.0.get(waiting.position) != Some(&entry) {
                    return Err(StreamError::Malformed(format!(
                        "chunk {:?} is not the one that the path waits for",
                        chunk.hash
                    )));
                }
                steps.push(Step::Sent(entry, chunk.frame));
                waiting.position += 1;
                self.advance(waiting, &mut steps);
            }
        }
        Ok(steps.into_iter())
    }

    /// Takes the chunks that are not sent, up to the next one that is.
    fn advance(&mut self, mut waiting: Waiting, steps: &mut Vec<Step>) {
        while let Some(entry) = waiting.path.manifest.0.get(waiting.position) {
            if waiting.path.sent.contains(waiting.position) {
                self.waiting = Some(waiting);
                return;
            }
            steps.push(Step::Known(*entry));
            waiting.position += 1;
        }
        steps.push(Step::End);
    }

    /// Ends the stream.
    pub(super) fn finish(&self) -> Result<(), StreamError> {
        if self.waiting.is_none() { Ok(()) } else { Err(StreamError::Cut) }
    }
}

fn entry(chunk: &ChunkMessage) -> ManifestEntry {
    ManifestEntry { hash: chunk.hash, size: chunk.size }
}

#[cfg(test)]
mod tests {
    use protocol::{ChunkHash, Manifest};

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
}
