use super::*;

/// What Nix 2.8 printed of two paths: a list.
const LIST: &str = r#"[{"path":"/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9s-f","narHash":"sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=","narSize":120,"references":[],"ca":"fixed:r:sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h","registrationTime":1795313019},{"path":"/nix/store/jyh5nykz82x5clrl0yh0yqg23kgvjq16-cl-fix","narHash":"sha256-OOlReL/HJ6EJXLEAGDPpj6mJJrtYtrLUozfqJpkSpJs=","narSize":160,"references":["/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9s-f"],"deriver":"/nix/store/8zn39q51wmgsi38y6ajivd96nyz4b47x-cl-fix.drv","registrationTime":1795313024,"ultimate":true,"signatures":["k-1:pblKyVOL5ak62KBCgkXbbtclx8pMmfK5d2Vsm2NWAzVEcseaudhVzi6fqemSc1STJcihNGAI5YRAqi/wo5TZBw=="]}]"#;

/// What Nix 2.26 printed of the same paths: an object keyed by path.
const KEYED: &str = r#"{"/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9s-f":{"ca":"fixed:r:sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h","deriver":null,"narHash":"sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=","narSize":120,"references":[],"registrationTime":1795313106,"signatures":[],"ultimate":false},"/nix/store/jyh5nykz82x5clrl0yh0yqg23kgvjq16-cl-fix":{"ca":null,"deriver":"/nix/store/8zn39q51wmgsi38y6ajivd96nyz4b47x-cl-fix.drv","narHash":"sha256-OOlReL/HJ6EJXLEAGDPpj6mJJrtYtrLUozfqJpkSpJs=","narSize":160,"references":["/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9s-f"],"registrationTime":1795313106,"signatures":["k-1:pblKyVOL5ak62KBCgkXbbtclx8pMmfK5d2Vsm2NWAzVEcseaudhVzi6fqemSc1STJcihNGAI5YRAqi/wo5TZBw=="],"ultimate":true}}"#;

/// The same as the manual of Nix 2.33 and later describes version 2: under `info`, base names, parts instead of texts.
const WRAPPED: &str = r#"{"version":2,"storeDir":"/nix/store","info":{"ab3li50xq0nl4q5lxdyinb8w8y13my9s-f":{"version":2,"storeDir":"/nix/store","ca":{"method":"nar","hash":"sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY="},"deriver":null,"narHash":"sha256-EFUdrtf6Rn0LWIJufrmg8q99aT3jGfLvd1//zaJEufY=","narSize":120,"references":[],"registrationTime":null,"signatures":[],"ultimate":false},"jyh5nykz82x5clrl0yh0yqg23kgvjq16-cl-fix":{"ca":null,"deriver":"8zn39q51wmgsi38y6ajivd96nyz4b47x-cl-fix.drv","narHash":{"algorithm":"sha256","format":"base64","hash":"OOlReL/HJ6EJXLEAGDPpj6mJJrtYtrLUozfqJpkSpJs="},"narSize":160,"references":["ab3li50xq0nl4q5lxdyinb8w8y13my9s-f"],"signatures":[{"keyName":"k-1","sig":"pblKyVOL5ak62KBCgkXbbtclx8pMmfK5d2Vsm2NWAzVEcseaudhVzi6fqemSc1STJcihNGAI5YRAqi/wo5TZBw=="}],"ultimate":true}}}"#;

fn parse(json: &str) -> Result<Vec<PathInfo>, PathInfoError> {
    parse_path_infos(json.as_bytes(), &StoreDir::default())
}

#[test]
fn every_shape_says_the_same() {
    let infos = parse(LIST).unwrap();
    let [file, output] = &infos[..] else { panic!("two paths") };
    assert_eq!(
        file.ca.as_ref().unwrap().to_string(),
        "fixed:r:sha256:1xmr8jicvzszfzpz46g37mlpvbzjl2wpwvl2b05psipssyp1sm8h"
    );
    assert_eq!((file.nar_size, file.deriver.as_ref()), (120, None));
    assert_eq!(output.path.to_string(), "jyh5nykz82x5clrl0yh0yqg23kgvjq16-cl-fix");
    assert_eq!(output.references, BTreeSet::from([file.path.clone()]));
    assert_eq!(output.deriver.as_ref().unwrap().to_string(), "8zn39q51wmgsi38y6ajivd96nyz4b47x-cl-fix.drv");
    assert_eq!(output.nar_hash.hex(), "38e95178bfc727a1095cb1001833e98fa98926bb58b6b2d4a337ea269912a49b");
    assert_eq!(output.signatures.iter().map(|s| s.key_name().to_string()).collect::<Vec<_>>(), ["k-1"]);

    assert_eq!(parse(KEYED).unwrap(), infos);
    assert_eq!(parse(WRAPPED).unwrap(), infos);
}

#[test]
fn a_path_that_is_not_valid_is_named() {
    let path = "/nix/store/00000000000000000000000000000000-a";
    for json in [format!(r#"[{{"path":"{path}","valid":false}}]"#), format!(r#"{{"{path}":null}}"#)] {
        assert!(matches!(parse(&json), Err(PathInfoError::NotValid(named)) if named == path), "{json}");
    }
}

#[test]
fn malformed_answers_are_errors() {
    for json in ["", "3", "[3]", "[{}]", r#"{"/nix/store/x":{}}"#, &LIST[..LIST.len() - 1], r#"{"info":3}"#] {
        assert!(parse(json).is_err(), "{json}");
    }
    let without = |what: &str, with: &str| parse(&LIST.replace(what, with)).unwrap_err();
    assert!(matches!(without(r#""narSize":120"#, r#""narSize":0"#), PathInfoError::Lacks { field: "NAR size", .. }));
    assert!(matches!(without("sha256-EF", "sha256-"), PathInfoError::Hash { .. }));
    assert!(matches!(without("fixed:r:", "fixed:x:"), PathInfoError::ContentAddress { .. }));
    assert!(matches!(without("/nix/store/8zn", "/gnu/store/8zn"), PathInfoError::StorePath { .. }));
}

#[test]
fn malformed_signatures_are_left_out() {
    let infos = parse(&LIST.replace("k-1:", "")).unwrap();
    assert_eq!(infos[1].signatures.len(), 0);
    assert!(parse("[]").unwrap().is_empty() && parse("{}").unwrap().is_empty());
}
