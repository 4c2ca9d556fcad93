//! What Nix defined: store paths, hashes, NARs, narinfos, signatures. Pure: no I/O.
