use proptest::prelude::*;

use super::*;
use crate::arbitrary;

const LEAF: &str = r#"Derive([("out","/nix/store/9vcwwbaaw0mcp76q8y04rm96913rkbd4-leaf-1.0","","")],[],[],"x86_64-linux","/bin/sh",["-c","a\n"],[("builder","/bin/sh"),("name","leaf-1.0"),("out","/nix/store/9vcwwbaaw0mcp76q8y04rm96913rkbd4-leaf-1.0")])"#;

fn parse(text: &str) -> Result<Derivation, DerivationError> {
    Derivation::parse(&StoreDir::default(), text.as_bytes())
}

#[test]
fn refuses_what_nix_would_not_write() {
    assert!(parse(LEAF).is_ok());
    let refused = |from: &str, to: &str| {
        let text = LEAF.replacen(from, to, 1);
        assert_ne!(text, LEAF, "{from}");
        parse(&text).unwrap_err()
    };
    let canonical = |error| matches!(error, DerivationError::NotCanonical { .. });
    assert!(canonical(refused(r"a\n", "a\n")));
    assert!(canonical(refused(r"a\n", r"\a")));
    assert!(canonical(refused(r#"("name","leaf-1.0"),"#, r#"("name","leaf-1.0"),("name","leaf-1.0"),"#)));
    assert!(canonical(refused(
        r#"[("builder","/bin/sh"),("name","leaf-1.0")"#,
        r#"[("name","x"),("builder","/bin/sh")"#
    )));
    let expected = |error| matches!(error, DerivationError::Expected { .. });
    for (from, to) in
        [("Derive(", "derive("), ("[],[],", "[],,"), ("])", "]) "), ("])", "]"), (r#"leaf-1.0")])"#, "leaf")]
    {
        assert!(expected(refused(from, to)), "{from}");
    }
    for text in ["", "Derive(", "Derive([", r#"Derive([("out"#, r#"Derive([("out\"#] {
        assert!(expected(parse(text).unwrap_err()), "{text}");
    }
    assert!(matches!(refused("/nix/store/", "/nix/elsewhere/"), DerivationError::Path { .. }));
    assert!(matches!(refused(r#"("out","#, r#"("o/t","#), DerivationError::OutputName { .. }));
    assert!(matches!(refused(r#"","","")],["#, r#"","sha999","")],["#), DerivationError::OutputHash { .. }));
    assert!(matches!(refused(r#"","","")],["#, r#"","","00")],["#), DerivationError::OutputHash { .. }));
    assert!(matches!(refused(r#"","","")],["#, r#"","r:sha256","")],["#), DerivationError::OutputPath { .. }));
    let input = r#"","","")],[("/nix/store/9vcwwbaaw0mcp76q8y04rm96913rkbd4-leaf",["out"])"#;
    assert!(matches!(refused(r#"","","")],["#, input), DerivationError::InputName { .. }));
    assert_eq!(parse(r#"DrvWithVersion("xp-dyn-drv","#), Err(DerivationError::Versioned));
    let long = vec![b' '; MAX_DERIVATION_BYTES + 1];
    assert!(matches!(Derivation::parse(&StoreDir::default(), &long), Err(DerivationError::TooLong { .. })));
}

#[test]
fn outputs_are_of_one_kind() {
    let outputs = |outputs: &str| parse(&format!(r#"Derive({outputs},[],[],"x","/bin/sh",[],[])"#));
    let path = "/nix/store/9vcwwbaaw0mcp76q8y04rm96913rkbd4-leaf";
    let hash = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
    assert!(outputs(&format!(r#"[("out","{path}","r:sha256","{hash}")]"#)).is_ok());
    assert!(outputs(r#"[("a","","",""),("b","","","")]"#).is_ok());
    for wrong in [
        "[]".to_owned(),
        format!(r#"[("dev","{path}","sha256","{hash}")]"#),
        format!(r#"[("dev","{path}","",""),("out","{path}","sha256","{hash}")]"#),
        r#"[("a","","",""),("b","","r:sha256","")]"#.to_owned(),
        r#"[("a","","r:sha256","impure"),("b","","r:sha256","")]"#.to_owned(),
    ] {
        assert_eq!(outputs(&wrong), Err(DerivationError::Outputs), "{wrong}");
    }
}

#[test]
fn flags_are_read_with_suspicion() {
    let with = |name: &str, value: &str| {
        let mut derivation = parse(LEAF).unwrap();
        derivation.environment.insert(name.into(), value.into());
        derivation.has_flag("__noChroot")
    };
    for yes in ["1", "true", "x"] {
        assert!(with("__noChroot", yes), "{yes}");
    }
    for no in ["", "0"] {
        assert!(!with("__noChroot", no), "{no}");
    }
    assert!(!with("__nochroot", "1"));
    assert!(with("__json", r#"{"__noChroot":true}"#));
    assert!(with("__json", r#"{"__noChroot":"1"}"#));
    assert!(!with("__json", r#"{"__noChroot":false,"env":{"__noChroot":true}}"#));
    assert!(!with("__json", "not JSON"));
}

/// One byte of a fixed output's fetcher may change without changing whoever uses it; its contents may not.
#[test]
fn inputs_must_be_known() {
    let mut derivation = parse(LEAF).unwrap();
    let input: StorePath = "9vcwwbaaw0mcp76q8y04rm96913rkbd4-x.drv".parse().unwrap();
    derivation.input_derivations.insert(input.clone(), ["out".parse().unwrap()].into());
    let (store, name) = (StoreDir::default(), "leaf.drv".parse().unwrap());
    assert_eq!(derivation.hash_modulo(&store, |_| None), Err(ModuloError::NoInput(input)));
    let paths = |hash| derivation.output_paths(&store, &name, |_| Some(hash)).unwrap();
    let unknown: BTreeMap<_, _> = [("out".parse().unwrap(), OutputPath::Unknown)].into();
    assert_eq!(paths(DerivationHash::Deferred), unknown);
    let [a, b] = [1, 2].map(|byte| paths(DerivationHash::Known(Sha256::from_bytes([byte; 32]))));
    assert_ne!(a, b);
    let name = "leaf".parse().unwrap();
    assert!(matches!(derivation.output_paths(&store, &name, |_| None), Err(ModuloError::NotDerivation(_))));
}

proptest! {
    #[test]
    fn what_is_written_is_read(derivation in arbitrary::derivation()) {
        let store = StoreDir::default();
        let bytes = derivation.render(&store);
        prop_assert_eq!(Derivation::parse(&store, &bytes), Ok(derivation));
    }

    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = Derivation::parse(&StoreDir::default(), &bytes);
    }

    #[test]
    fn what_is_accepted_is_written_back(derivation in arbitrary::derivation(), at: prop::sample::Index, byte: u8) {
        let store = StoreDir::default();
        let mut bytes = derivation.render(&store);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Derivation::parse(&store, &bytes) {
            prop_assert_eq!(read.render(&store), bytes);
        }
    }
}
