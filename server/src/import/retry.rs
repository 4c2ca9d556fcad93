//! Trying again what may pass.

use std::time::Duration;

use crate::{
    ingest::{BodyError, IngestError},
    store::StoreError,
};

const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Whether the same may succeed a little later.
pub(super) trait Passing {
    fn is_passing(&self) -> bool;
}

impl Passing for source::Error {
    fn is_passing(&self) -> bool {
        Self::is_passing(self)
    }
}

/// Why one path was not taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathError {
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The source gave all that it has, and that is no NAR.
    #[error(transparent)]
    Damaged(IngestError),
}

impl Passing for PathError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Source(error) => error.is_passing(),
            Self::Ingest(IngestError::Body(error)) => !matches!(error, BodyError::TooLarge(_)),
            Self::Ingest(IngestError::Store(error)) => {
                matches!(error, StoreError::ElsewhereFailed | StoreError::Commit(_))
            }
            Self::Ingest(_) | Self::Damaged(_) => false,
        }
    }
}

/// Does it, a few times over if what fails may pass.
pub(super) async fn retry<T, E: Passing>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
            done => return done,
        }
        pause *= 2;
    }
    attempt().await
}

/// An error with its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
