use proptest::prelude::*;

use super::*;
use crate::arbitrary::{content_address, references, store_path_name};

fn parse(text: &str) -> Result<ContentAddress, ContentAddressError> {
    text.parse()
}

#[test]
fn forms() {
    let sha1 = "sha1:wz60bbf44cw7nswp1wv8vcsyfg155sqd";
    let sha256 = "sha256:00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq";
    let (of_sha1, of_sha256): (Hash, Sha256) = (sha1.parse().unwrap(), sha256.parse().unwrap());
    for (text, ca) in [
        (format!("text:{sha256}"), ContentAddress::Text(of_sha256)),
        (format!("fixed:{sha1}"), ContentAddress::Flat(of_sha1)),
        (format!("fixed:r:{sha256}"), ContentAddress::NixArchive(of_sha256.into())),
        (format!("fixed:git:{sha1}"), ContentAddress::Git(of_sha1)),
    ] {
        assert_eq!(parse(&text), Ok(ca));
        assert_eq!(ca.to_string(), text);
    }
    // Other spellings of the hash are read, but not written.
    let hash: Hash = sha256.parse().unwrap();
    assert_eq!(parse(&format!("fixed:r:{}", hash.to_hex())).unwrap().to_string(), format!("fixed:r:{sha256}"));
    // SRI has its own dash, and no place here.
    assert!(matches!(parse(&format!("fixed:r:{}", hash.to_sri())), Err(ContentAddressError::Hash(_))));
}

#[test]
fn refusals() {
    assert_eq!(parse(""), Err(ContentAddressError::UnknownMethod));
    assert_eq!(parse("fixed"), Err(ContentAddressError::UnknownMethod));
    assert_eq!(parse("nar:sha256:x"), Err(ContentAddressError::UnknownMethod));
    let md5 = "md5:4425hx5d1mc9y39llj4k4nm55i";
    assert_eq!(
        parse(&format!("text:{md5}")),
        Err(ContentAddressError::Hash(HashError::WrongAlgorithm { found: HashAlgorithm::Md5 }))
    );
    assert_eq!(
        parse(&format!("fixed:git:{md5}")),
        Err(ContentAddressError::GitAlgorithm { found: HashAlgorithm::Md5 })
    );
    assert!(parse(&format!("fixed:{md5}")).is_ok());
    assert!(matches!(parse("fixed:r:r:sha256:x"), Err(ContentAddressError::Hash(_))));
}

#[test]
fn only_some_can_have_references() {
    let (store_dir, name) = (StoreDir::default(), "x".parse().unwrap());
    let reference: StorePath = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-y".parse().unwrap();
    let references = BTreeSet::from([reference]);
    let sha256 = Sha256::digest_of(b"");
    let sha1 = Hash::digest_of(HashAlgorithm::Sha1, b"");
    for ca in [ContentAddress::Flat(sha256.into()), ContentAddress::NixArchive(sha1), ContentAddress::Git(sha1)] {
        let refused = Err(ContentAddressError::References { ca });
        assert_eq!(ca.store_path(&store_dir, &name, &references), refused);
        assert_eq!(ca.store_path_with_self_reference(&store_dir, &name, &BTreeSet::new()), refused);
        assert!(ca.store_path(&store_dir, &name, &BTreeSet::new()).is_ok());
    }
    let text = ContentAddress::Text(sha256);
    assert!(text.store_path(&store_dir, &name, &references).is_ok());
    assert_eq!(
        text.store_path_with_self_reference(&store_dir, &name, &references),
        Err(ContentAddressError::SelfReference)
    );
    let archive = ContentAddress::NixArchive(sha256.into());
    assert!(archive.store_path_with_self_reference(&store_dir, &name, &references).is_ok());
}

#[test]
fn the_method_is_part_of_the_path() {
    let (store_dir, name) = (StoreDir::default(), "x".parse().unwrap());
    let sha256 = Sha256::digest_of(b"");
    let paths: BTreeSet<StorePath> = [
        ContentAddress::Text(sha256),
        ContentAddress::Flat(sha256.into()),
        ContentAddress::NixArchive(sha256.into()),
        ContentAddress::Git(sha256.into()),
    ]
    .iter()
    .map(|ca| ca.store_path(&store_dir, &name, &BTreeSet::new()).unwrap())
    .collect();
    assert_eq!(paths.len(), 4);
}

proptest! {
    #[test]
    fn text_round_trips(ca in content_address()) {
        prop_assert_eq!(parse(&ca.to_string()), Ok(ca));
    }

    #[test]
    fn a_path_depends_on_all_it_is_made_of(hash: [u8; 32], name in store_path_name(), references in references()) {
        let store_dir = StoreDir::default();
        let path = |hash, references: &BTreeSet<StorePath>, to_itself| {
            let ca = ContentAddress::NixArchive(Sha256::from_bytes(hash).into());
            if to_itself {
                ca.store_path_with_self_reference(&store_dir, &name, references)
            } else {
                ca.store_path(&store_dir, &name, references)
            }
            .unwrap()
        };
        let this = path(hash, &references, false);
        prop_assert_eq!(this.name(), &name);
        prop_assert_ne!(&this, &path(hash, &references, true));
        let mut other = hash;
        other[0] ^= 1;
        prop_assert_ne!(&this, &path(other, &references, false));
        if !references.is_empty() {
            prop_assert_ne!(&this, &path(hash, &BTreeSet::new(), false));
        }
    }
}
