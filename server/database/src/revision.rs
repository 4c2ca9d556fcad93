//! Where the index stands, told without asking it anything.

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
pub trait Revisions {
    /// The state of the index at this moment: another one as soon as anybody's commit, of whatever process, is acknowledged, unless
    /// that commit changed nothing but such notes.
    ///
    /// `None` where that cannot be told far more cheaply than by reading; nothing may be kept then. Must not block.
    fn revision(&self) -> Option<Revision>;
}
