//! Integration tests live in `it/`; this library is empty so that Cargo has a target to hang them on.
