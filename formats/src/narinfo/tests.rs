//! Narinfos as Nix writes them, as it does not, and beside another implementation.

use proptest::prelude::*;

use super::*;
use crate::StorePath;
use crate::arbitrary::{nar_info, path_info, secret_key};

const FULL: &str = "\
StorePath: /nix/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-self+x_1.0
URL: nar/16yjqi04fl693zv193f09v0s7a8jp80c7dmil254qjx35n00j6lx.nar.xz
Compression: xz
FileHash: sha256:16yjqi04fl693zv193f09v0s7a8jp80c7dmil254qjx35n00j6lx
FileSize: 168
NarHash: sha256:0azmb8j7a70qdxr26cg7z3mdpdhh3blk2czls97d8kq82m7jk5ri
NarSize: 840
References: 5l703w2hm70bp6zzdkq0dfhf3bfy81xj-leaf-1.0 nyiy57pvgdz2a07fxk99y6gwbihvds1k-self+x_1.0
Deriver: dqjw734yr6nndc12p7j3fcy1qd2akzzd-self+x_1.0.drv
Sig: fixtures.example.org-1:KUtdBUr3iSXb5mkeMluxy2PvUb/dTaBje9s37nPu0QbRCHHkCRITYuYHXShmUljlsR7AQjSsO2zan1CYG9jtAw==
Sig: other.example.org-1:GS7/2zFympwnG7TQs67YbNFhSWPSnFeGhwZsmUUGsX6KxDhVTp7tFXmWo1oR9bkRCwAL50Ecaai7H/cxvTJkBw==
";

const CA: &str = "CA: fixed:r:sha1:wz60bbf44cw7nswp1wv8vcsyfg155sqd\n";

fn parse(text: impl AsRef<[u8]>) -> Result<NarInfo, NarInfoError> {
    NarInfo::parse(&StoreDir::default(), text)
}

/// The full narinfo with the first line that starts so replaced, or left out.
fn with(start: &str, replacement: &str) -> String {
    let mut replacement = Some(replacement);
    FULL.split_inclusive('\n')
        .map(|line| if line.starts_with(start) { replacement.take().unwrap_or(line) } else { line })
        .collect()
}

#[test]
fn every_field_is_read_and_written_back() {
    let info = parse(FULL).unwrap();
    assert_eq!(info.info.path.name().as_str(), "self+x_1.0");
    assert_eq!(info.url, "nar/16yjqi04fl693zv193f09v0s7a8jp80c7dmil254qjx35n00j6lx.nar.xz");
    assert_eq!(info.compression, Compression::Xz);
    assert_eq!(info.file_size, Some(168));
    assert_eq!(info.info.nar_size, 840);
    assert_eq!(info.info.references.len(), 2);
    assert!(info.info.deriver.as_ref().is_some_and(StorePath::is_derivation));
    assert_eq!(info.info.signatures.len(), 2);
    assert_eq!(info.render(&StoreDir::default()), FULL);
    let with_ca = format!("{FULL}{CA}");
    assert_eq!(parse(&with_ca).unwrap().render(&StoreDir::default()), with_ca);
}

#[test]
fn the_fingerprint_is_nixs() {
    assert_eq!(
        parse(FULL).unwrap().info.fingerprint(&StoreDir::default()),
        "1;/nix/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-self+x_1.0;\
         sha256:0azmb8j7a70qdxr26cg7z3mdpdhh3blk2czls97d8kq82m7jk5ri;840;\
         /nix/store/5l703w2hm70bp6zzdkq0dfhf3bfy81xj-leaf-1.0,\
         /nix/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-self+x_1.0"
    );
}

#[test]
fn what_nix_takes_for_granted() {
    let render = |text: String| parse(text).unwrap().render(&StoreDir::default());
    // No references are a space after the colon.
    assert_eq!(render(with("References", "References: \n")), with("References", "References: \n"));
    assert_eq!(render(with("References", "")), with("References", "References: \n"));
    assert_eq!(render(with("Compression", "")), with("Compression", "Compression: bzip2\n"));
    assert_eq!(render(with("Compression", "Compression: \n")), with("Compression", "Compression: bzip2\n"));
    assert_eq!(render(with("Deriver", "Deriver: unknown-deriver\n")), with("Deriver", ""));
    assert_eq!(render(format!("{FULL}CA: \n")), FULL);
    assert_eq!(render(with("FileSize", "FileSize: 0\n")), with("FileSize", ""));
    assert_eq!(render(with("FileHash", "")), with("FileHash", ""));
    // Every spelling of a hash, any order of lines and references, references twice.
    let mut lines: Vec<&str> = FULL.split_inclusive('\n').collect();
    lines.reverse();
    assert_eq!(render(lines.concat()), FULL);
    let hash = parse(FULL).unwrap().info.nar_hash;
    for spelling in [format!("sha256:{}", hash.hex()), crate::Hash::from(hash).to_sri()] {
        assert_eq!(render(with("NarHash", &format!("NarHash: {spelling}\n"))), FULL);
    }
    let (a, b) = ("5l703w2hm70bp6zzdkq0dfhf3bfy81xj-leaf-1.0", "nyiy57pvgdz2a07fxk99y6gwbihvds1k-self+x_1.0");
    assert_eq!(render(with("References", &format!("References: {b} {a}  {b}\n"))), FULL);
}

#[test]
fn unknown_keys_are_kept() {
    let extra = "Provenance: {\"a\": \"b:c\"}\nPartialClosure: \nSystem: x86_64-linux\n";
    let text = format!("{FULL}{CA}{extra}");
    let info = parse(format!("{extra}{FULL}{CA}")).unwrap();
    assert_eq!(info.extra[0], ("Provenance".to_owned(), "{\"a\": \"b:c\"}".to_owned()));
    assert_eq!(info.render(&StoreDir::default()), text);
}

#[test]
fn what_is_no_narinfo() {
    let refused = |text: String| parse(&text).unwrap_err();
    assert_eq!(refused(String::new()), NarInfoError::Missing { key: "StorePath" });
    assert_eq!(refused("<html>\n".to_owned()), NarInfoError::NotAField { line: 1 });
    assert_eq!(refused("\n".to_owned()), NarInfoError::NotAField { line: 1 });
    assert_eq!(refused(format!("{FULL}\n")), NarInfoError::NotAField { line: 12 });
    assert_eq!(refused(FULL.trim_end().to_owned()), NarInfoError::NoNewline { line: 11 });
    assert_eq!(refused(FULL.replace('\n', "\r\n")), NarInfoError::Control { line: 1 });
    assert_eq!(parse(b"StorePath: \xff\n").unwrap_err(), NarInfoError::NotUtf8 { position: 11 });
    let bytes = MAX_NARINFO_BYTES + 1;
    assert_eq!(refused("x".repeat(bytes)), NarInfoError::TooLong { bytes });
    for key in ["StorePath", "URL", "NarHash", "NarSize"] {
        assert_eq!(refused(with(key, "")), NarInfoError::Missing { key });
    }
    for (line, key) in
        ["StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver"]
            .into_iter()
            .enumerate()
    {
        let again = FULL.lines().nth(line).unwrap();
        assert_eq!(refused(format!("{FULL}{again}\n")), NarInfoError::Duplicate { line: 12, key });
    }
    assert_eq!(refused(format!("{FULL}{CA}{CA}")), NarInfoError::Duplicate { line: 13, key: "CA" });
}

#[test]
fn bad_values_name_their_line() {
    let sha512 = "sha512:0lrc0dwnvipqviibf7qfm1y492qvjwb1zhkcyi05cndmva1mr5gjcgrnz1x36djmk0sfg8djd2n0qv68vib2jg590mwznar9jcjphp7";
    for (line, key, values) in [
        (
            1,
            "StorePath",
            &["", "nyiy57pvgdz2a07fxk99y6gwbihvds1k-x", "/gnu/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-x"][..],
        ),
        (2, "URL", &["", "nar/x y", "nar/x\u{a0}y"]),
        (3, "Compression", &["zst", "XZ", "xz ", "lzip"]),
        (4, "FileHash", &["", "16yjqi04fl693zv193f09v0s7a8jp80c7dmil254qjx35n00j6lx", sha512]),
        (5, "FileSize", &["", "-1", "+1", "1 ", " 1", "0x1", "1.5", "18446744073709551616"]),
        (6, "NarHash", &["", "sha256:16yjqi04fl693zv193f09v0s7a8jp80c7dmil254qjx35n00j6l", sha512]),
        (7, "NarSize", &["", "0", "+1", "18446744073709551616"]),
        (8, "References", &["/nix/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-x", "x"]),
        (9, "Deriver", &["", "/nix/store/nyiy57pvgdz2a07fxk99y6gwbihvds1k-x.drv", "unknown"]),
        (10, "Sig", &["", "nokey", "key:", ":AAAA", "key:AAAA"]),
        (12, "CA", &["fixed", "text:sha1:wz60bbf44cw7nswp1wv8vcsyfg155sqd", "wz60bbf44cw7nswp1wv8vcsyfg155sqd"]),
    ] {
        for value in values {
            let text = if key == "CA" {
                format!("{FULL}CA: {value}\n")
            } else {
                with(&format!("{key}:"), &format!("{key}: {value}\n"))
            };
            match parse(text).unwrap_err() {
                NarInfoError::Field { line: at, key: of, .. } => assert_eq!((at, of), (line, key), "{value}"),
                other => panic!("{key} {value}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_missing_space_is_not_read_as_nix_would() {
    // Nix takes the whole next line for the references.
    assert_eq!(parse(with("References", "References:\n")).unwrap_err(), NarInfoError::NotAField { line: 8 });
    // Nix drops the first character of the URL.
    assert_eq!(parse(with("URL", "URL:nar/x.nar\n")).unwrap_err(), NarInfoError::NotAField { line: 2 });
}

#[test]
fn nothing_can_be_smuggled_out() {
    let mut info = parse(FULL).unwrap();
    info.url = "nar/x\nSig: evil:AAAA\r é".to_owned();
    info.extra = vec![
        ("X".to_owned(), "a\nSig: evil:AAAA".to_owned()),
        ("Sig".to_owned(), "evil:AAAA".to_owned()),
        ("Y\nSig".to_owned(), "evil:AAAA".to_owned()),
        ("Z: a".to_owned(), "b".to_owned()),
    ];
    let text = info.render(&StoreDir::default());
    let read = parse(&text).unwrap();
    assert_eq!(read.info, info.info);
    assert_eq!(read.url, "nar/x%0ASig:%20evil:AAAA%0D%20é");
    assert_eq!(read.extra, [("X".to_owned(), "a Sig: evil:AAAA".to_owned())]);
}

proptest! {
    #[test]
    fn rendered_is_parsed_again(info in nar_info()) {
        let text = info.render(&StoreDir::default());
        prop_assert_eq!(parse(text).unwrap(), info);
    }

    #[test]
    fn another_store_dir(info in nar_info()) {
        let store_dir: StoreDir = "/srv/store dir".parse().unwrap();
        let text = info.render(&store_dir);
        prop_assert_eq!(NarInfo::parse(&store_dir, &text).unwrap(), info);
        prop_assert!(parse(text).is_err());
    }

    #[test]
    fn signatures_cover_the_fingerprint(mut info in path_info(), key in secret_key()) {
        let store_dir = StoreDir::default();
        info.sign(&store_dir, &key);
        prop_assert!(info.is_signed_by(&store_dir, [&key.public_key()]));
        info.nar_size = info.nar_size.wrapping_add(1);
        prop_assert!(!info.is_signed_by(&store_dir, [&key.public_key()]));
    }

    #[test]
    fn the_oracle_writes_the_same(info in nar_info()) {
        agrees_with_the_oracle(info)?;
    }

    #[test]
    fn what_is_accepted_the_oracle_accepts(
        info in nar_info(), at: prop::sample::Index, cut in 0..3usize, put in "[ -~\n]{0,3}",
    ) {
        let mut text = info.render(&StoreDir::default());
        let at = (0..=at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let end = (at + cut..).find(|end| *end >= text.len() || text.is_char_boundary(*end)).unwrap().min(text.len());
        text.replace_range(at..end, &put);
        if let Ok(info) = parse(&text) {
            prop_assert_eq!(&parse(info.render(&StoreDir::default())).unwrap(), &info);
            agrees_with_the_oracle(info)?;
        }
    }
}

/// Another implementation reads what we write, and means and writes the same.
fn agrees_with_the_oracle(mut info: NarInfo) -> Result<(), TestCaseError> {
    for (_, value) in &mut info.extra {
        // It does not keep these verbatim.
        *value = value.trim_start().to_owned();
    }
    let store_dir = StoreDir::default();
    let text = info.render(&store_dir);
    let oracle: nix_narinfo::NarInfo = text.parse().unwrap();
    prop_assert_eq!(oracle.fingerprint(oracle.store_dir()), info.info.fingerprint(&store_dir));
    prop_assert_eq!(oracle.is_content_addressed(oracle.store_dir()), info.info.is_content_addressed(&store_dir));
    prop_assert_eq!(String::from_utf8(oracle.to_canonical_bytes()).unwrap(), text);
    Ok(())
}
