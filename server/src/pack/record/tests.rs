//! Records, there and back.

use protocol::ManifestEntry;

use super::*;

fn manifest(n: u8) -> Manifest {
    Manifest((0..n).map(|i| ManifestEntry { hash: ChunkHash([i; 32]), size: u32::from(i) * 1000 }).collect())
}

fn samples() -> Vec<Record> {
    vec![
        Record::Nar(NarRecord {
            nar_hash: NarHash::from_bytes([1; 32]),
            nar_size: u64::MAX,
            file_hash: FileHash::from_bytes([2; 32]),
            file_size: 77,
            manifest: manifest(9),
            listing: None,
            checks: Some((0..9).collect()),
            at: Some(12),
        }),
        Record::Nar(NarRecord {
            nar_hash: NarHash::from_bytes([1; 32]),
            nar_size: 0,
            file_hash: FileHash::from_bytes([2; 32]),
            file_size: 77,
            manifest: manifest(2),
            listing: Some(manifest(1)),
            checks: None,
            at: None,
        }),
        Record::Stamp(Stamp(u64::MAX)),
        Record::Cache(CacheRecord { name: "main".into(), state: None }),
        Record::Cache(CacheRecord {
            name: "main".into(),
            state: Some(CacheState {
                is_public: true,
                store_dir: "/nix/store".into(),
                priority: -3,
                upstream_key_names: vec![],
                retention: Some(0),
                keys: vec![KeyRecord { public: "k:AA==".into(), sealed: None }],
                max_size: Some(1),
                quota: None,
                is_read_only: true,
                promotion_keys: vec![KeyRecord { public: "p:AA==".into(), sealed: Some("x".into()) }],
                pins: vec![PinRecord {
                    name: "p".into(),
                    path: "x".into(),
                    at: 1,
                    expires_at: Some(2),
                    pinned_by: None,
                }],
            }),
        }),
        Record::Removal(Removal::Path { cache: "main".into(), hash: "x".into() }),
        Record::Removal(Removal::Document { cache: "main".into(), kind: "log".into(), name: "x.drv".into() }),
        Record::Removal(Removal::Nar { nar_hash: "sha256:0".into() }),
        Record::KeptOut(KeptOutRecord { cache: "main".into(), hash: "x".into(), nar_hash: "sha256:0".into() }),
        Record::Damage(DamageRecord { pack: "00".into(), offset: u64::MAX }),
        Record::Promotion(PromotionRecord {
            cache: "main".into(),
            fact: database::PromotionFact::Observed(database::ObservedFact {
                builder: "ci".into(),
                seen: vec![],
                at: protocol::Timestamp(4),
            }),
        }),
        Record::Revocation(Revocation::Subject { subject: "ci".into(), at: 5 }),
        Record::Path(PathRecord {
            cache: "main".into(),
            store_dir: "/nix/store".into(),
            path: "x".into(),
            nar_hash: "sha256:0".into(),
            nar_size: 5,
            references: vec!["a".into(), "b".into()],
            deriver: None,
            signatures: vec![],
            ca: None,
            extra: vec![("K".into(), "v".into())],
            pushed_by: Some("ci".into()),
            at: 1,
        }),
        Record::Document(DocumentRecord {
            about: DocumentAbout { cache: "main".into(), kind: "log".into(), name: "x.drv".into(), at: 3 },
            manifest: manifest(1),
        }),
    ]
}

#[test]
fn records_come_back_and_later_ones_are_skipped() {
    let mut bytes = Vec::new();
    for record in samples() {
        record.encode(&mut bytes);
        bytes.extend_from_slice(&[200, 3, 1, 2, 3]);
    }
    let (mut input, mut offset, mut read) = (&bytes[..], 8, Vec::new());
    while !input.is_empty() {
        read.extend(Record::decode(&mut input, &mut offset).unwrap());
    }
    assert_eq!(read, samples());
}

#[test]
fn a_fact_of_a_later_version_is_skipped() {
    let payload = br#"{"cache":"main","fact":{"prophecy":{"at":9}}}"#;
    let mut bytes = vec![PROMOTION];
    write_bytes(&mut bytes, payload);
    assert_eq!(Record::decode(&mut &bytes[..], &mut 8).unwrap(), None);
}

#[test]
fn a_cut_record_is_an_error() {
    for record in samples() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Record::decode(&mut &bytes[..length], &mut 8).is_err(), "{length}");
        }
    }
}
