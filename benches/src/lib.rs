//! Benchmarks against the running server and its peers.
