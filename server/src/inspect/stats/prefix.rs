//! Names without their versions.

/// `hello` of `hello-2.12.1`: what comes before the first dash that no letter follows, as Nix takes names apart.
pub(super) fn prefix(name: &str) -> &str {
    let bytes = name.as_bytes();
    let version = (1..bytes.len()).find(|&at| bytes[at - 1] == b'-' && !bytes[at].is_ascii_alphabetic());
    version.map_or(name, |at| &name[..at - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_nix_does() {
        for (name, expected) in [
            ("hello-2.12.1", "hello"),
            ("hello", "hello"),
            ("python3.12-numpy-2.0-dist", "python3.12-numpy"),
            ("a-b-c", "a-b-c"),
            ("nix-shell-", "nix-shell-"),
            ("x-?", "x"),
        ] {
            assert_eq!(prefix(name), expected);
        }
    }
}
