//! What a narinfo costs, counted in allocations: a copy that comes in unseen shows here, on any machine.

use allocation_counter::measure;
use formats::{NarInfo, SecretKey, StoreDir};

#[test]
fn reading_signing_and_writing_a_narinfo() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cache");
    let mut narinfos = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let longest = narinfos.by_ref().filter(|path| path.extension().is_some_and(|end| end == "narinfo"));
    let text = longest.map(|path| std::fs::read_to_string(path).unwrap()).max_by_key(String::len).unwrap();
    let (store_dir, key) = (StoreDir::default(), SecretKey::generate("main".parse().unwrap(), [1; 32]));
    let mut narinfo = None;
    let reading = measure(|| narinfo = Some(NarInfo::parse(&store_dir, &text).unwrap()));
    let mut narinfo = narinfo.unwrap();
    let references = u64::try_from(narinfo.info.references.len()).unwrap();
    let signing = measure(|| narinfo.info.sign(&store_dir, &key));
    let mut rendered = String::new();
    let writing = measure(|| rendered = narinfo.render(&store_dir));
    println!("{references} references: {reading:?} {signing:?} {writing:?}");
    assert!(reading.count_total < 16 + 2 * references, "{reading:?}");
    assert!(signing.count_total < 32 + 2 * references, "{signing:?}");
    assert!(writing.count_total < 20 + 2 * references, "{writing:?}");
}
