//! Frames one after the other: those that stay in their files or are in the system's cache at once, the others as they are read.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use database::ChunkLocation;
use futures::{Stream, StreamExt, stream::BoxStream};

use super::{
    Taken,
    frames::{Checked, Frames, Segment},
};

/// The frames of segments, in order.
///
/// Whether a segment is to be had at once is asked when its turn comes, or when what comes before it is begun to be read. What has to
/// be waited for goes ahead by itself, up to the next segment that has not.
pub(super) struct Leaving<T> {
    frames: Frames,
    rest: VecDeque<Segment>,
    reading: Option<BoxStream<'static, Checked<T>>>,
    /// Comes after what is being read.
    at_once: Option<(Vec<ChunkLocation>, T)>,
    /// Whether nothing of the answer has come yet.
    is_first: bool,
}

impl<T: Taken> Leaving<T> {
    pub(super) fn new(frames: Frames, segments: Vec<Segment>, is_first: bool) -> Self {
        Self { frames, rest: segments.into(), reading: None, at_once: None, is_first }
    }

    /// The next segments that have to be waited for; keeps the one after them that has not.
    fn next_to_wait_for(&mut self) -> Vec<Segment> {
        let mut run = Vec::new();
        while let Some(segment) = self.rest.pop_front() {
            // Whoever holds memory for what comes later may wait for ever for what comes first.
            match self.frames.at_once(segment, run.is_empty()) {
                Ok(frames) => {
                    self.at_once = Some(frames);
                    break;
                }
                Err(segment) => run.push(segment),
            }
        }
        run
    }
}

impl<T: Taken> Stream for Leaving<T> {
    type Item = Checked<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Checked<T>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                match ready!(reading.poll_next_unpin(context)) {
                    Some(frames) => return Poll::Ready(Some(frames)),
                    None => self.reading = None,
                }
            }
            if let Some(frames) = self.at_once.take() {
                self.is_first = false;
                return Poll::Ready(Some(Ok(frames)));
            }
            let run = self.next_to_wait_for();
            if !run.is_empty() {
                let is_first = std::mem::take(&mut self.is_first);
                self.reading = Some(self.frames.read_ahead(run, is_first).boxed());
            } else if self.at_once.is_none() {
                return Poll::Ready(None);
            }
        }
    }
}
