//! The index on PostgreSQL.
