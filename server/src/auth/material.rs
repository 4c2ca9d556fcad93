//! The bytes behind the token secret, for whoever derives keys from it.

use super::{KeysError, keys::decode, secret_file};
use crate::config::{Jwt, Signing};

/// The secret that tokens are signed with; `None` if this server only has a public key.
///
/// Makes the server's own secret if it is to have one and there is none.
///
/// # Errors
/// If the secret is malformed, or its file cannot be read or made.
pub fn secret_material(config: &Jwt) -> Result<Option<Vec<u8>>, KeysError> {
    let what = "token secret";
    match &config.signing {
        Signing::Hs256Secret(secret) | Signing::Rs256Secret(secret) => decode(what, secret).map(Some),
        Signing::File(path) => decode(what, &secret_file::read(path)?).map(Some),
        Signing::OwnFile(path) => decode(what, &secret_file::read_or_make(path)?).map(Some),
        Signing::Rs256PublicKey(_) => Ok(None),
    }
}
