//! The index: plain rows, traits, and the suite that every database must pass.
