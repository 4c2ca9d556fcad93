//! Has the database look at its tables while they are young.
//!
//! Every connection keeps the plan that it made first, and makes another only after the tables were analyzed. A plan that was made for empty
//! tables walks through the whole of one for each thing that is asked about: a thousand chunks among fifty thousand took seconds. PostgreSQL
//! looks by itself, but a minute later or two; an index that is being filled has grown a hundredfold by then.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{query_scalar, raw_sql};

use crate::dialect::Connection;

/// After so many transactions of this process nobody looks any more.
const LAST: u64 = 4096;
/// A table with so many rows is old enough: what PostgreSQL does by itself will do.
const GROWN: f32 = 200_000.0;

/// How many transactions this process has made, while that matters.
#[derive(Debug, Default)]
pub(crate) struct Young(AtomicU64);

impl Young {
    /// Notes the end of a transaction; tells whether it is time to look: after one, two, four, …
    pub(crate) fn is_due(&self) -> bool {
        if self.0.load(Ordering::Relaxed) >= LAST {
            return false;
        }
        (self.0.fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }

    /// Looks, unless the tables are old enough.
    pub(crate) async fn look(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let rows: f32 = query_scalar("SELECT reltuples FROM pg_class WHERE oid = to_regclass('chunk')")
            .fetch_optional(&mut *connection)
            .await?
            .unwrap_or_default();
        if rows >= GROWN {
            self.0.store(LAST, Ordering::Relaxed);
            return Ok(());
        }
        // Who is at it already does it for everybody.
        raw_sql("ANALYZE (SKIP_LOCKED) pack, chunk, nar, path").execute(connection).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_at_powers_of_two_and_then_no_more() {
        let young = Young::default();
        let due: Vec<u64> = (1..=3 * LAST).filter(|_| young.is_due()).collect();
        assert_eq!(due, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]);
    }
}
