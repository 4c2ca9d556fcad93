//! Bytes under keys: a folder, memory, and a store that fails on purpose.
