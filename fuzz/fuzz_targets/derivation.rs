//! Whatever is accepted as a derivation is what it renders to.
#![no_main]

use formats::{Derivation, StoreDir};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let store_dir = StoreDir::default();
    if let Ok(derivation) = Derivation::parse(&store_dir, bytes) {
        assert_eq!(derivation.render(&store_dir), bytes);
        let _ = derivation.hash_modulo(&store_dir, |_| None);
        let _ = derivation.has_flag("__noChroot");
    }
});
