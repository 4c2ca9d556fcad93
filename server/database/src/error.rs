//! What can go wrong in an index.

/// The result of asking the index.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the index could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away, busy for too long or out of space: the same call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row that cannot be: something else wrote to the database, or it is damaged.
    #[error("the database contradicts itself: {table}.{column}: {what}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Any other failure of the database.
    #[error("the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
