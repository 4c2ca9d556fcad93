//! Looks for what must not leave in a stream of bytes: secrets by their shape, and store paths that are not referred to.
//!
//! A fixed text begins each of them, all of which are looked for at once; what follows it decides. So that something may lie
//! across two pieces, the end of each piece is looked at together with the beginning of the next.

use std::{collections::BTreeSet, sync::Arc};

use aho_corasick::{AhoCorasick, MatchKind};
use formats::{StoreDir, StorePathHash};

/// How far behind the beginning of a match is looked.
const LOOK_AHEAD: usize = 512;
/// How many secrets of one NAR are remembered.
const MAX_SECRETS: usize = 16;
/// How many undeclared mentions of one NAR are remembered.
const MAX_MENTIONS: usize = 16;

/// A shape of secrets: how it begins, and what must follow.
struct Shape {
    kind: &'static str,
    begins: &'static str,
    follows: Follows,
}

enum Follows {
    /// Base 64 on a line of its own, as in PEM, perhaps after lines of headers.
    Pem,
    /// At least so many characters of a kind.
    AtLeast(usize, fn(u8) -> bool),
    /// Exactly so many, and then none of that kind.
    Exactly(usize, fn(u8) -> bool),
    /// Three parts of base 64 with dots between, so many characters at least.
    Jwt(usize),
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const SHAPES: &[Shape] = &[
    Shape { kind: "an OpenSSH private key", begins: "-----BEGIN OPENSSH PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "a private key", begins: "-----BEGIN PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "an RSA private key", begins: "-----BEGIN RSA PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "an EC private key", begins: "-----BEGIN EC PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "a DSA private key", begins: "-----BEGIN DSA PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "an encrypted private key", begins: "-----BEGIN ENCRYPTED PRIVATE KEY-----", follows: Follows::Pem },
    Shape { kind: "a PGP private key", begins: "-----BEGIN PGP PRIVATE KEY BLOCK-----", follows: Follows::Pem },
    Shape { kind: "an age secret key", begins: "AGE-SECRET-KEY-1", follows: Follows::Exactly(58, upper) },
    Shape { kind: "a GitHub token", begins: "ghp_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a GitHub token", begins: "gho_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a GitHub token", begins: "ghu_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a GitHub token", begins: "ghs_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a GitHub token", begins: "ghr_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a GitHub token", begins: "github_pat_", follows: Follows::Exactly(82, word) },
    Shape { kind: "a GitLab token", begins: "glpat-", follows: Follows::AtLeast(20, dashed) },
    Shape { kind: "a GitLab token", begins: "glptt-", follows: Follows::AtLeast(20, dashed) },
    Shape { kind: "a GitLab runner token", begins: "glrt-", follows: Follows::AtLeast(20, dashed) },
    Shape { kind: "an AWS access key", begins: "AKIA", follows: Follows::Exactly(16, upper) },
    Shape { kind: "an npm token", begins: "npm_", follows: Follows::Exactly(36, alphanumeric) },
    Shape { kind: "a Slack token", begins: "xoxb-", follows: Follows::AtLeast(40, dashed) },
    Shape { kind: "a Slack token", begins: "xoxp-", follows: Follows::AtLeast(40, dashed) },
    Shape { kind: "a Stripe key", begins: "sk_live_", follows: Follows::AtLeast(24, alphanumeric) },
    Shape { kind: "a signed token", begins: "eyJhbGciOi", follows: Follows::Jwt(120) },
];

/// The beginnings, ready to be looked for.
pub(super) struct Needles {
    automaton: Option<AhoCorasick>,
}

impl Needles {
    /// For the paths of that store dir.
    pub(super) fn new(store_dir: &StoreDir) -> Self {
        let store = format!("{store_dir}/");
        let patterns = SHAPES.iter().map(|shape| shape.begins).chain([store.as_str()]);
        // So few and so short that building it cannot fail; were it to, nothing would pass for clean.
        Self { automaton: AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(patterns).ok() }
    }
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Needles")
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sighted {
    /// How long the stream was.
    pub(super) length: u64,
    /// What kind, and where.
    pub(super) secrets: Vec<(&'static str, u64)>,
    /// Store paths that were not expected.
    pub(super) mentions: BTreeSet<StorePathHash>,
}

/// A search through one stream.
#[derive(Debug)]
pub(super) struct Search {
    needles: Arc<Needles>,
    expected: BTreeSet<StorePathHash>,
    found: Sighted,
    /// The end of the stream so far, in which a match may begin that is not decided yet.
    tail: Vec<u8>,
}

impl Search {
    pub(super) fn new(needles: Arc<Needles>, expected: BTreeSet<StorePathHash>) -> Self {
        Self { needles, expected, found: Sighted::default(), tail: Vec::with_capacity(2 * LOOK_AHEAD) }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let before = self.found.length - self.tail.len() as u64;
        let at = self.found.length;
        self.found.length += piece.len() as u64;
        let mut border = std::mem::take(&mut self.tail);
        if piece.len() <= LOOK_AHEAD {
            border.extend_from_slice(piece);
            let decided = border.len().saturating_sub(LOOK_AHEAD);
            self.look(&border, decided, before);
            border.drain(..decided);
            self.tail = border;
            return;
        }
        let undecided = border.len();
        border.extend_from_slice(&piece[..LOOK_AHEAD]);
        self.look(&border, undecided, before);
        let decided = piece.len() - LOOK_AHEAD;
        self.look(piece, decided, at);
        border.clear();
        border.extend_from_slice(&piece[decided..]);
        self.tail = border;
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Sighted {
        let tail = std::mem::take(&mut self.tail);
        let start = self.found.length - tail.len() as u64;
        self.look(&tail, tail.len(), start);
        self.found
    }

    /// Decides about everything that begins in the first `decided` bytes, the first of which is at `start` of the stream.
    fn look(&mut self, bytes: &[u8], decided: usize, start: u64) {
        let needles = Arc::clone(&self.needles);
        let Some(automaton) = &needles.automaton else {
            if self.found.secrets.is_empty() {
                self.found.secrets.push(("something that could not be looked for", 0));
            }
            return;
        };
        for hit in automaton.find_iter(bytes) {
            if hit.start() >= decided {
                return;
            }
            // As far as is at hand wherever the pieces end.
            let rest = &bytes[hit.end()..bytes.len().min(hit.start() + LOOK_AHEAD)];
            match SHAPES.get(hit.pattern().as_usize()) {
                Some(shape) => {
                    if self.found.secrets.len() < MAX_SECRETS && shape.follows.holds(rest) {
                        self.found.secrets.push((shape.kind, start + hit.start() as u64));
                    }
                }
                None => self.mention(rest),
            }
        }
    }

    fn mention(&mut self, rest: &[u8]) {
        let Some((text, after)) = rest.split_at_checked(StorePathHash::TEXT_LEN) else { return };
        if after.first() != Some(&b'-') || self.found.mentions.len() >= MAX_MENTIONS {
            return;
        }
        let hash = std::str::from_utf8(text).ok().and_then(|text| text.parse::<StorePathHash>().ok());
        if let Some(hash) = hash.filter(|hash| !self.expected.contains(hash)) {
            self.found.mentions.insert(hash);
        }
    }
}

impl Follows {
    fn holds(&self, rest: &[u8]) -> bool {
        let run = |kind: fn(u8) -> bool| rest.iter().take_while(|byte| kind(**byte)).count();
        match self {
            Self::AtLeast(count, kind) => run(*kind) >= *count,
            Self::Exactly(count, kind) => run(*kind) == *count,
            Self::Jwt(length) => {
                let run = run(|byte| dashed(byte) || byte == b'.');
                let dots = rest[..run].iter().filter(|byte| **byte == b'.').count();
                // One that goes on beyond what is looked at has its last dot there.
                run >= *length && (dots == 2 || (run == rest.len() && dots == 1))
            }
            // A program that reads or writes keys has the first line, too, but no key behind it.
            Self::Pem => {
                let rest = &rest[..rest.len().min(LOOK_AHEAD - 64)];
                let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
                // In scripts and JSON the ends of lines may be written out.
                let text = rest.split(|byte| matches!(byte, b'\n' | b'\r' | b'\\' | b' '));
                let mut words = text.map(|word| word.strip_prefix(b"n").unwrap_or(word)).skip(1);
                words.any(|word| word.len() >= 32 && word.iter().all(&base64))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n";
    const HASH: &str = "7h7qgvs4kgzsn8a6rb273saxyqh4jxlz";

    fn search(pieces: impl IntoIterator<Item = Vec<u8>>, expected: &[&str]) -> Sighted {
        let expected = expected.iter().map(|hash| hash.parse().unwrap()).collect();
        let mut search = Search::new(Arc::new(Needles::new(&StoreDir::default())), expected);
        pieces.into_iter().for_each(|piece| search.push(&piece));
        search.finish()
    }

    fn kinds(text: &str) -> Vec<&'static str> {
        search([text.as_bytes().to_vec()], &[]).secrets.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn secrets_are_known_by_their_shape() {
        let many = |c: &str, count| c.repeat(count);
        assert_eq!(kinds(KEY), ["an OpenSSH private key"]);
        assert_eq!(kinds(&KEY.replace('\n', "\r\n")), ["an OpenSSH private key"]);
        assert_eq!(kinds(&KEY.replace('\n', "\\n")), ["an OpenSSH private key"]);
        let headers = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
        assert_eq!(kinds(&format!("{headers}{}\n", many("Ab1+", 16))), ["an RSA private key"]);
        assert_eq!(kinds(&format!("x ghp_{} y", many("a", 36))), ["a GitHub token"]);
        assert_eq!(kinds(&format!("\"glpat-{}\"", many("a", 20))), ["a GitLab token"]);
        assert_eq!(kinds(&format!("AKIA{}", many("Q", 16))), ["an AWS access key"]);
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", many("a", 100), many("b", 43));
        assert_eq!(kinds(&format!("token={token}\n")), ["a signed token"]);
    }

    #[test]
    fn programs_that_know_of_secrets_have_none() {
        for innocent in [
            "-----BEGIN OPENSSH PRIVATE KEY-----\0-----END OPENSSH PRIVATE KEY-----\0",
            "expected -----BEGIN PRIVATE KEY-----\nbut found %s\n",
            "a token starts with ghp_ or AKIA, or eyJhbGciOi",
            "AKIAIOSFODNN7EXAMPLEANDMORE",
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n",
        ] {
            assert_eq!(kinds(innocent), Vec::<&str>::new(), "{innocent}");
        }
    }

    #[test]
    fn store_paths_must_be_expected() {
        let text = format!("x /nix/store/{HASH}-a/bin /nix/store/short /nix/store/{}-e", "e".repeat(32)).into_bytes();
        assert_eq!(search([text.clone()], &[]).mentions, [HASH.parse().unwrap()].into());
        assert_eq!(search([text], &[HASH]).mentions, [].into());
    }

    #[test]
    fn pieces_do_not_matter() {
        let noise = |count: usize| (0..count).map(|n| b"abc-eyJ_/"[n * 7 % 9]).collect::<Vec<u8>>();
        let text = [&noise(1500)[..], KEY.as_bytes(), &noise(700), b"/nix/store/", HASH.as_bytes(), b"-x"].concat();
        let whole = search([text.clone()], &[]);
        assert_eq!((whole.secrets.len(), whole.mentions.len()), (1, 1));
        assert_eq!((whole.secrets[0].1, whole.length), (1500, text.len() as u64));
        for size in [1, 2, 7, 100, 511, 512, 513, 1000, 1024, 1499, 1500, 1501, 2000] {
            assert_eq!(search(text.chunks(size).map(<[u8]>::to_vec), &[]), whole, "{size}");
        }
    }
}
