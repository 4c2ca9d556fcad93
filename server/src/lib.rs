//! The binary cache server.
