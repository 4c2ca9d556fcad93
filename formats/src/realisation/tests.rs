use super::*;

const ID: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad!out";
const OUT: &str = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz-konsole-18.12.3";

fn key() -> SecretKey {
    SecretKey::generate("test-1".parse().unwrap(), [1; 32])
}

#[test]
fn old_shape() {
    let text = format!(
        r#"{{"dependentRealisations":{{"{ID}":"{OUT}"}},"id":"{ID}","outPath":"{OUT}","signatures":["{}"]}}"#,
        key().sign("x")
    );
    let mut realisation = Realisation::parse(text.as_bytes()).unwrap();
    assert_eq!(realisation.render(), text);
    assert_eq!(realisation.file_name(), format!("realisations/{ID}.doi"));
    assert_eq!(
        realisation.fingerprint(),
        format!(r#"{{"dependentRealisations":{{"{ID}":"{OUT}"}},"id":"{ID}","outPath":"{OUT}"}}"#)
    );
    assert!(!realisation.is_signed_by(&key().public_key()), "the signature is over something else");
    realisation.sign(&key());
    assert!(realisation.is_signed_by(&key().public_key()));
    assert_eq!(realisation.signatures.len(), 2);
}

#[test]
fn new_shape() {
    let signature = key().sign("x").to_string();
    let base64 = signature.strip_prefix("test-1:").unwrap();
    let text = format!(r#"{{"outPath":"{OUT}","signatures":[{{"keyName":"test-1","sig":"{base64}"}}]}}"#);
    let mut entry = BuildTraceEntry::parse(text.as_bytes()).unwrap();
    assert_eq!(entry.render(), text);
    let drv = format!("{}-konsole.drv", &OUT[..32]);
    let at = BuildTraceKey { drv_path: drv.parse().unwrap(), output_name: "out".parse().unwrap() };
    assert_eq!(at.file_name(), format!("build-trace-v2/{drv}/out.doi"));
    assert_eq!(
        entry.fingerprint(&at),
        format!(r#"{{"key":{{"drvPath":"{drv}","outputName":"out"}},"value":{{"outPath":"{OUT}"}}}}"#)
    );
    entry.sign(&at, &key());
    assert!(entry.is_signed_by(&at, &key().public_key()));
    let other = BuildTraceKey { output_name: "dev".parse().unwrap(), ..at };
    assert!(!entry.is_signed_by(&other, &key().public_key()));
}

#[test]
fn what_may_be_missing_and_what_may_not() {
    let realisation = Realisation::parse(format!(r#"{{"outPath":"{OUT}","id":"{ID}"}}"#).as_bytes()).unwrap();
    assert!(realisation.signatures.is_empty() && realisation.dependent_realisations.is_empty());
    for bad in [
        String::new(),
        "[]".to_owned(),
        format!(r#"{{"id":"{ID}"}}"#),
        format!(r#"{{"id":"{}","outPath":"{OUT}"}}"#, ID.replace('!', "^")),
        format!(r#"{{"id":"{ID}","outPath":"/nix/store/{OUT}"}}"#),
        format!(r#"{{"id":"{ID}","outPath":"{OUT}","signatures":["nokey"]}}"#),
        format!(r#"{{"id":"{ID}","outPath":"{OUT}"}} x"#),
    ] {
        assert!(matches!(Realisation::parse(bad.as_bytes()), Err(RealisationError::Json(_))), "{bad}");
    }
    let bytes = MAX_REALISATION_BYTES + 1;
    assert!(matches!(Realisation::parse(&vec![b' '; bytes]), Err(RealisationError::TooLong { .. })));
}

#[test]
fn outputs_are_named_by_hash_and_name() {
    assert_eq!(ID.parse::<DrvOutput>().unwrap().to_string(), ID);
    assert!(matches!("sha256:00".parse::<DrvOutput>(), Err(RealisationError::NoOutput)));
    assert!(matches!("sha256:00!out".parse::<DrvOutput>(), Err(RealisationError::Hash(_))));
    for name in ["", "a/b", "..", "a!b"] {
        let text = format!("{}{name}", ID.strip_suffix("out").unwrap());
        assert!(matches!(text.parse::<DrvOutput>(), Err(RealisationError::OutputName(_))), "{name}");
    }
}
