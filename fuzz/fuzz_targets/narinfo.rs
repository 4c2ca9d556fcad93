//! Whatever is accepted as a narinfo is rendered to a text that says the same.
#![no_main]

use formats::{NarInfo, StoreDir};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let store_dir = StoreDir::default();
    if let Ok(info) = NarInfo::parse(&store_dir, text) {
        let rendered = info.render(&store_dir);
        assert_eq!(NarInfo::parse(&store_dir, &rendered), Ok(info));
    }
});
