//! Bytes under keys in a bucket.
