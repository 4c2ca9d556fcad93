//! Where the index stands, told far more cheaply than by reading it.

use async_trait::async_trait;

/// A state of the index: while it stays the same, every read gives what it gave before, but for when and how often things were used
/// and who does which chore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision([u8; 48]);

impl Revision {
    /// The state that these bytes stand for; what they mean is the database's matter.
    #[must_use]
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }
}

/// What lets answers be kept in memory without ever being out of date.
#[async_trait]
pub trait Revisions: Sync {
    /// The state of the index at this moment: another one as soon as anybody's commit, of whatever process, is acknowledged, unless
    /// that commit changed nothing but such notes.
    ///
    /// `None` where that cannot be told on the spot. Must not block.
    fn revision(&self) -> Option<Revision>;

    /// The state of the index at some moment after this was called, where it takes a question to somebody else to know it; all that was
    /// acknowledged to anybody before the call is in it.
    ///
    /// `None` where nobody can tell; nothing may be kept then.
    async fn ask_revision(&self) -> Option<Revision> {
        self.revision()
    }
}
