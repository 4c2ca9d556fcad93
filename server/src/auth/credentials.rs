//! The token in a request.

use data_encoding::BASE64;
use http::{HeaderMap, header::AUTHORIZATION};

/// The token in `Authorization`: of `Bearer`, or the password of `Basic` (with whatever login), as Nix sends it from a netrc.
///
/// The scheme is read in any case: Attic's client writes `bearer`. `None` if there is no token, or none that can be read.
#[must_use]
pub fn credentials(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        value.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(value.trim().as_bytes()).ok()?).ok()?;
        pair.split_once(':')?.1.to_owned()
    } else {
        return None;
    };
    Some(token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> Option<String> {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        credentials(&[(AUTHORIZATION, value)].into_iter().collect())
    }

    #[test]
    fn tokens_come_as_bearer_or_as_a_password() {
        assert_eq!(read(b"bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(read(b"Bearer  a.b.c ").as_deref(), Some("a.b.c"));
        for login in ["", "anything", "a b"] {
            let basic = BASE64.encode(format!("{login}:a.b.c").as_bytes());
            assert_eq!(read(format!("BASIC {basic}").as_bytes()).as_deref(), Some("a.b.c"));
        }
    }

    #[test]
    fn anything_else_is_no_token() {
        let no_colon = format!("Basic {}", BASE64.encode(b"token"));
        let not_text = format!("Basic {}", BASE64.encode(b":\xff"));
        for bad in [
            &b""[..],
            b"bearer",
            b"bearer ",
            b"Basic %",
            b"Digest x",
            b"a.b.c",
            b"bearer \xff",
            no_colon.as_bytes(),
            not_text.as_bytes(),
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(credentials(&HeaderMap::new()), None);
    }
}
