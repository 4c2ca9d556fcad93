//! A content address is read again as what it was written from, and leads to a path or an error.
#![no_main]

use std::collections::BTreeSet;

use formats::{ContentAddress, Hash, StoreDir};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(hash) = text.parse::<Hash>() {
        for spelling in [hash.to_nix32(), hash.to_hex(), hash.to_sri()] {
            assert_eq!(spelling.parse(), Ok(hash));
        }
    }
    if let Ok(ca) = text.parse::<ContentAddress>() {
        assert_eq!(ca.to_string().parse(), Ok(ca));
        if let Ok(name) = "name".parse() {
            let _ = ca.store_path(&StoreDir::default(), &name, &BTreeSet::new());
            let _ = ca.store_path_with_self_reference(&StoreDir::default(), &name, &BTreeSet::new());
        }
    }
});
