//! What is left after crashes, hasty ends and damage on disk.

mod damage;
mod drain;
mod duplicates;
mod first_start;
mod idle;
mod kill;
mod native;
mod slow_readers;
mod stalled;
mod still_streams;
