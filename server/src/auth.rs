//! Who is asking, and what they may do.
//!
//! A request's credentials are a token or nothing. A token that is not good is no error: its bearer is anonymous, as with
//! Attic. What a [`Caller`] may do to a cache is what the token says, and to pull from it if it is public.

mod caller;
mod credentials;
mod keys;
mod material;
mod minting;
mod secret_file;

pub use caller::{Caller, Refusal};
pub use credentials::credentials;
pub use keys::{KeysError, MintError, TokenError, TokenKeys};
pub use material::secret_material;
pub use minting::{Minting, MintingError, token_info};
pub use secret_file::SecretFileError;
