//! The text of a `.drv` file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Derivation, DerivationError, Method, Output};
use crate::content_address::ContentAddress;
use crate::hash::{Hash, HashAlgorithm, HashError, Sha256};
use crate::store_dir::StoreDir;
use crate::store_path::{StorePath, StorePathError, StorePathName};

type Result<T> = std::result::Result<T, DerivationError>;

pub(super) fn parse(store_dir: &StoreDir, bytes: &[u8]) -> Result<Derivation> {
    let mut reader = Reader { store_dir, bytes, at: 0 };
    if bytes.starts_with(b"DrvWithVersion(") {
        return Err(DerivationError::Versioned);
    }
    reader.word(b"Derive(", "Derive(")?;
    let outputs = reader.list(Reader::output)?.into_iter().collect();
    reader.comma()?;
    let input_derivations = reader.list(Reader::input)?.into_iter().collect();
    reader.comma()?;
    let input_sources = reader.list(Reader::path)?.into_iter().collect();
    reader.comma()?;
    let system = reader.string()?;
    reader.comma()?;
    let builder = reader.string()?;
    reader.comma()?;
    let arguments = reader.list(Reader::string)?;
    reader.comma()?;
    let environment = reader.list(Reader::variable)?.into_iter().collect();
    reader.word(b")", "a closing parenthesis")?;
    if reader.at != bytes.len() {
        return Err(reader.expected("the end"));
    }
    Ok(Derivation { outputs, input_derivations, input_sources, system, builder, arguments, environment })
}

struct Reader<'a> {
    store_dir: &'a StoreDir,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn expected(&self, expected: &'static str) -> DerivationError {
        DerivationError::Expected { position: self.at, expected }
    }

    fn word(&mut self, word: &'static [u8], expected: &'static str) -> Result<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.expected(expected));
        }
        self.at += word.len();
        Ok(())
    }

    fn comma(&mut self) -> Result<()> {
        self.word(b",", "a comma")
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.word(b"[", "a list")?;
        let mut items = Vec::new();
        while self.word(b"]", "").is_err() {
            if !items.is_empty() {
                self.comma()?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        self.word(b"\"", "a string")?;
        let mut string = Vec::new();
        loop {
            let byte = *self.bytes.get(self.at).ok_or_else(|| self.expected("the end of the string"))?;
            self.at += 1;
            match byte {
                b'"' => return Ok(string),
                b'\\' => {
                    let escaped = *self.bytes.get(self.at).ok_or_else(|| self.expected("an escaped character"))?;
                    self.at += 1;
                    string.push(match escaped {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => other,
                    });
                }
                other => string.push(other),
            }
        }
    }

    fn text(&mut self) -> Result<(usize, String)> {
        let position = self.at;
        let text = String::from_utf8(self.string()?);
        Ok((position, text.map_err(|_| DerivationError::Expected { position, expected: "plain text" })?))
    }

    fn path(&mut self) -> Result<StorePath> {
        let (position, text) = self.text()?;
        self.store_dir.parse_path(&text).map_err(|source| DerivationError::Path { position, source })
    }

    fn output_name(&mut self) -> Result<StorePathName> {
        let (position, text) = self.text()?;
        text.parse().map_err(|source: StorePathError| DerivationError::OutputName { position, source })
    }

    fn input(&mut self) -> Result<(StorePath, BTreeSet<StorePathName>)> {
        self.word(b"(", "an input derivation")?;
        let position = self.at;
        let path = self.path()?;
        if !path.is_derivation() {
            return Err(DerivationError::InputName { position });
        }
        self.comma()?;
        let outputs = self.list(Self::output_name)?.into_iter().collect();
        self.word(b")", "a closing parenthesis")?;
        Ok((path, outputs))
    }

    fn variable(&mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        self.word(b"(", "an environment variable")?;
        let name = self.string()?;
        self.comma()?;
        let value = self.string()?;
        self.word(b")", "a closing parenthesis")?;
        Ok((name, value))
    }

    fn output(&mut self) -> Result<(StorePathName, Output)> {
        let start = self.at;
        self.word(b"(", "an output")?;
        let name = self.output_name()?;
        self.comma()?;
        let (path_at, path) = self.text()?;
        self.comma()?;
        let (method_at, method) = self.text()?;
        self.comma()?;
        let (hash_at, hash) = self.text()?;
        self.word(b")", "a closing parenthesis")?;
        let read_path = || {
            let path = self.store_dir.parse_path(&path);
            path.map_err(|source| DerivationError::Path { position: path_at, source })
        };
        let bad_hash = |position| move |source: HashError| DerivationError::OutputHash { position, source };
        if method.is_empty() {
            if !hash.is_empty() {
                return Err(bad_hash(hash_at)(HashError::NoAlgorithm));
            }
            let output = if path.is_empty() { Output::Deferred } else { Output::InputAddressed(read_path()?) };
            return Ok((name, output));
        }
        let (method, algorithm) = read_method(&method).map_err(bad_hash(method_at))?;
        let output = match &hash[..] {
            "" | "impure" if !path.is_empty() => return Err(DerivationError::OutputPath { position: start }),
            "" => Output::Floating { method, algorithm },
            "impure" => Output::Impure { method, algorithm },
            digest => {
                let hash = Hash::parse_digest(algorithm, digest).map_err(bad_hash(hash_at))?;
                let ca = match method {
                    Method::Flat => ContentAddress::Flat(hash),
                    Method::NixArchive => ContentAddress::NixArchive(hash),
                    Method::Git => ContentAddress::Git(hash),
                    Method::Text => ContentAddress::Text(Sha256::try_from(hash).map_err(bad_hash(hash_at))?),
                };
                Output::Fixed { path: read_path()?, ca }
            }
        };
        Ok((name, output))
    }
}

fn read_method(text: &str) -> std::result::Result<(Method, HashAlgorithm), HashError> {
    let (method, algorithm) = match text.rsplit_once(':') {
        None => (Method::Flat, text),
        Some(("r", algorithm)) => (Method::NixArchive, algorithm),
        Some(("text", algorithm)) => (Method::Text, algorithm),
        Some(("git", algorithm)) => (Method::Git, algorithm),
        Some(_) => return Err(HashError::UnknownAlgorithm),
    };
    Ok((method, algorithm.parse()?))
}

pub(super) fn render(derivation: &Derivation, store_dir: &StoreDir) -> Vec<u8> {
    let inputs: BTreeMap<String, &BTreeSet<StorePathName>> =
        derivation.input_derivations.iter().map(|(path, outputs)| (store_dir.join(path), outputs)).collect();
    render_with(derivation, store_dir, &inputs, false)
}

/// As [`render`], with other names for the inputs, and with the paths of its outputs left out if they are `masked`.
pub(super) fn render_with<O: std::borrow::Borrow<BTreeSet<StorePathName>>>(
    derivation: &Derivation,
    store_dir: &StoreDir,
    inputs: &BTreeMap<String, O>,
    masked: bool,
) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(4096));
    out.raw(b"Derive(");
    out.list(&derivation.outputs, |out, (name, output)| {
        let path = |path: &StorePath| if masked { String::new() } else { store_dir.join(path) };
        let (path, method, hash) = match output {
            Output::InputAddressed(at) => (path(at), String::new(), String::new()),
            Output::Fixed { path: at, ca } => {
                let (method, hash) = fixed_words(ca);
                (path(at), method, hash)
            }
            Output::Floating { method, algorithm } => {
                (String::new(), format!("{}{algorithm}", method.prefix()), String::new())
            }
            Output::Impure { method, algorithm } => {
                (String::new(), format!("{}{algorithm}", method.prefix()), "impure".to_owned())
            }
            Output::Deferred => Default::default(),
        };
        out.tuple(&[name.as_str().as_bytes(), path.as_bytes(), method.as_bytes(), hash.as_bytes()]);
    });
    out.raw(b",");
    out.list(inputs, |out, (path, outputs)| {
        out.raw(b"(");
        out.string(path.as_bytes());
        out.raw(b",");
        out.list(outputs.borrow(), |out, name| out.string(name.as_str().as_bytes()));
        out.raw(b")");
    });
    out.raw(b",");
    out.list(&derivation.input_sources, |out, path| out.string(store_dir.join(path).as_bytes()));
    out.raw(b",");
    out.string(&derivation.system);
    out.raw(b",");
    out.string(&derivation.builder);
    out.raw(b",");
    out.list(&derivation.arguments, |out, argument| out.string(argument));
    out.raw(b",");
    out.list(&derivation.environment, |out, (name, value)| {
        let is_output = || {
            let name = std::str::from_utf8(name).ok().and_then(|name| name.parse::<StorePathName>().ok());
            name.is_some_and(|name| derivation.outputs.contains_key(&name))
        };
        out.tuple(&[name, if masked && is_output() { b"" } else { value }]);
    });
    out.raw(b")");
    out.0
}

/// Method with algorithm, and digest, as they stand in a derivation.
pub(super) fn fixed_words(ca: &ContentAddress) -> (String, String) {
    let method = match ca {
        ContentAddress::Text(_) => Method::Text,
        ContentAddress::Flat(_) => Method::Flat,
        ContentAddress::NixArchive(_) => Method::NixArchive,
        ContentAddress::Git(_) => Method::Git,
    };
    let hash = ca.hash();
    (format!("{}{}", method.prefix(), hash.algorithm()), data_encoding::HEXLOWER.encode(hash.digest()))
}

struct Writer(Vec<u8>);

impl Writer {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn string(&mut self, bytes: &[u8]) {
        self.0.push(b'"');
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.raw(b"\\n"),
                b'\r' => self.raw(b"\\r"),
                b'\t' => self.raw(b"\\t"),
                other => self.0.push(other),
            }
        }
        self.0.push(b'"');
    }

    fn tuple(&mut self, parts: &[&[u8]]) {
        for (at, part) in parts.iter().enumerate() {
            self.raw(if at == 0 { b"(" } else { b"," });
            self.string(part);
        }
        self.raw(b")");
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.raw(b"[");
        for (at, each) in items.into_iter().enumerate() {
            if at > 0 {
                self.raw(b",");
            }
            item(self, each);
        }
        self.raw(b"]");
    }
}
