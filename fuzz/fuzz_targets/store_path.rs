//! A store path has one spelling, alone and in its store directory.
#![no_main]

use formats::{StoreDir, StorePath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = text.parse::<StorePath>() {
        assert_eq!(path.to_string(), text);
        let store_dir = StoreDir::default();
        assert_eq!(store_dir.parse_path(&store_dir.join(&path)), Ok(path));
    }
    if let Ok(store_dir) = text.parse::<StoreDir>() {
        assert_eq!(store_dir.as_str(), text);
    }
});
