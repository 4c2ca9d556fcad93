//! What a push says while it runs.

use std::time::Duration;

use formats::StorePath;

use crate::push::{Outcome, PushPlan, UploadError};

/// Hears of the progress of a push; called from several threads at once.
///
/// Whoever implements it decides what becomes of the news: bars, lines, or nothing. It must not block.
pub trait Reporter: Send + Sync {
    /// Takes note of `event`.
    fn report(&self, event: Event<'_>);
}

/// One piece of news.
#[derive(Debug)]
pub enum Event<'a> {
    /// The uploads of this plan begin.
    Began(&'a PushPlan),
    /// The upload of a path begins, or begins anew.
    Started {
        /// The path.
        path: &'a StorePath,
        /// The size of its NAR in bytes.
        nar_size: u64,
    },
    /// More bytes of a NAR went out.
    Sent {
        /// The path.
        path: &'a StorePath,
        /// How many more.
        bytes: u64,
    },
    /// An upload failed and will be tried again.
    Waiting {
        /// The path.
        path: &'a StorePath,
        /// How often it has failed.
        failed: u32,
        /// How long until the next attempt.
        wait: Duration,
        /// What went wrong.
        error: &'a UploadError,
    },
    /// A path is done with, well or badly.
    Finished {
        /// The path.
        path: &'a StorePath,
        /// The size of its NAR in bytes.
        nar_size: u64,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// The server names an endpoint that is not encrypted while the one we used is; we stay.
    EndpointIgnored(&'a str),
    /// The server has another version of native push, so we push as Attic does.
    OtherVersion {
        /// Its version.
        theirs: u32,
        /// Our version.
        ours: u32,
    },
}

/// Forgets everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event<'_>) {}
}
