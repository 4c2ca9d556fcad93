//! The bytes of a NAR, put together from Attic's chunks.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use formats::Compression;
use futures::{StreamExt, TryStreamExt, stream};
use source::{
    Body,
    attic::{AtticChunk, AtticFiles},
};

use super::super::retry::chain;
use crate::ingest::decoded;

/// How many chunks of a NAR are asked for before they are needed: in a bucket each takes a round trip.
const ASKED_AHEAD: usize = 8;

/// What of the source broke a NAR off. In the stream of its bytes an error is but a text, which does not tell whether it may pass.
#[derive(Debug, Clone, Default)]
pub(super) struct BrokeOff(Arc<Mutex<Option<source::Error>>>);

impl BrokeOff {
    /// The error that was met, if it was one of the source.
    pub(super) fn take(&self) -> Option<source::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the first error, and gives its words.
    fn keep(&self, error: source::Error) -> io::Error {
        let told = io::Error::new(io::ErrorKind::InvalidData, chain(&error));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        told
    }

    fn keep_if_sources(&self, error: io::Error) -> io::Error {
        match error.downcast::<source::Error>() {
            Ok(error) => self.keep(error),
            Err(error) => error,
        }
    }
}

/// The NAR that consists of these chunks.
pub(super) fn nar(files: &AtticFiles, chunks: Vec<AtticChunk>, broke: &BrokeOff) -> Body {
    let (files, broke) = (files.clone(), broke.clone());
    let opened = stream::iter(chunks).map(move |chunk| {
        let (files, broke) = (files.clone(), broke.clone());
        async move {
            let unknown = |_| io::Error::new(io::ErrorKind::InvalidData, chunk.compression.clone());
            let compression: Compression = chunk.compression.parse().map_err(unknown)?;
            let body = files.read(&chunk.file).await.map_err(|error| broke.keep(error))?;
            let body = body.map_err(move |error| broke.keep_if_sources(error));
            Ok::<_, io::Error>(decoded(compression, body))
        }
    });
    opened.buffered(ASKED_AHEAD).try_flatten().boxed()
}
