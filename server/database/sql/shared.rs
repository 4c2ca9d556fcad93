//! What is the same on every SQL database: each trait of the index, written once.
//!
//! Both crates include this module by its path; each has a folder `sql` (a link to `server/database/sql/sqlite` or
//! `…/postgres`) with its own form of the statements that cannot be the same, and a module `dialect` with
//!
//! - `Connection`, and `Index`, the type that the traits are implemented for;
//! - what the macros below stand on: `Index::reader`, `Index::begin_alone`, `Index::begin_beside`, `Index::begin_noting`, and `Attempts`, which
//!   decides whether what failed is tried again;
//! - `lock_paths`, for what may run beside others;
//!
//! and `error::failed`, which sorts what the database's driver says.
//!
//! **To add a concern of the index**: its trait and its conformance tests in `server/database/src`, its table in
//! `migrations/{sqlite,postgres}`, its statements in `server/database/sql/common` if both databases read the same text and
//! else in `sql/sqlite` *and* `sql/postgres` under the same file name, with the same parameters and columns; a file here that
//! implements it (`impl Concern for Index`), naming statements `"../sql/common/….sql"` or `"sql/….sql"`; one line below. Then
//! `server/database/sqlite/prepare` and `server/database/postgres/prepare`.
//!
//! What makes one text do for both: parameters `$1`, `$2`; `ON CONFLICT`; `RETURNING`; flags and numbers as `i64`; lists as
//! one JSON text ([`list`]), which is `json_each($1)` there and `jsonb_array_elements($1::text::jsonb) WITH ORDINALITY` here.
//!
//! **What SQLite gives for free.** It has one writer, so a transaction may look first and write what follows from it. On
//! PostgreSQL `writing!` keeps that promise: it waits until no other transaction of the index runs, on any replica, and none
//! begins before it ends. So code that is right on SQLite is right there. Keep such a transaction short, a batch of some
//! thousand rows. `writing_beside!` is for what is called all the time: transactions that use it run beside each other, and each
//! says what it does about that. All of them
//!
//! - do the same when they are repeated: one whose answer is lost is sent once more;
//! - insert with `ON CONFLICT`, and look again at what they did not insert;
//! - lock rows before they change them by what they read in them (`FOR UPDATE`);
//! - lock and insert in one order, table by table and sorted by key within each, so that no two wait for each other.

/// `asking!(index, |connection| ask(connection, …).await)`: asks without writing; asked again if the connection is lost.
macro_rules! asking {
    ($index:expr, |$connection:ident| $ask:expr) => {{
        let mut attempts = $crate::dialect::Attempts::new();
        loop {
            let attempt = async {
                let mut held = $index.reader().await?;
                let $connection: &mut $crate::dialect::Connection = &mut held;
                let answer = $ask?;
                held.give_back();
                Ok(answer)
            };
            if let Some(answer) = attempts.run(attempt).await {
                break answer;
            }
        }
    }};
}

/// `writing!(index, |transaction| act(transaction, …).await)`: does all of it or, if it fails, nothing, and no other
/// transaction of the index runs meanwhile.
macro_rules! writing {
    ($index:expr, |$transaction:ident| $act:expr) => {
        transaction!($index, begin_alone, |$transaction| $act)
    };
}

/// As `writing!`, beside others of its kind; the head of this module says what that asks of it.
macro_rules! writing_beside {
    ($index:expr, |$transaction:ident| $act:expr) => {
        transaction!($index, begin_beside, |$transaction| $act)
    };
}

/// As `writing_beside!`, for notes that change no answer that is ever kept by revision: when and how often things were used, and
/// who does which chore. Where the database can tell, the revision stays what it was.
macro_rules! noting {
    ($index:expr, |$transaction:ident| $act:expr) => {
        transaction!($index, begin_noting, |$transaction| $act)
    };
}

macro_rules! transaction {
    ($index:expr, $begin:ident, |$transaction:ident| $act:expr) => {{
        let mut attempts = $crate::dialect::Attempts::new();
        loop {
            let attempt = async {
                let mut transaction = $index.$begin().await?;
                let done = {
                    let $transaction: &mut $crate::dialect::Connection = &mut transaction;
                    $act
                };
                transaction.end(done).await
            };
            if let Some(done) = attempts.run(attempt).await {
                break done;
            }
        }
    }};
}

mod audit;
mod cache_limits;
mod caches;
mod chunks;
mod collection;
pub(crate) mod column;
mod commit;
pub(crate) mod copying;
mod documents;
mod inspection;
mod leases;
pub(crate) mod list;
mod paths;
mod pins;
mod promotion;
mod promotion_records;
mod promotion_rules;
mod rebuild;
mod tokens;

/// Says what work that is written down in place gives, which the compiler cannot find out behind a macro.
async fn typed<T>(work: impl Future<Output = database::Result<T>>) -> database::Result<T> {
    work.await
}
