//! Stable error codes: what a client may match on.

use serde::{Deserialize, Serialize};

/// The body of every error answer, a superset of Attic's `{code, error, message}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The HTTP status, repeated.
    pub code: u16,
    /// The stable name of the error: [`ErrorCode::name`].
    pub error: String,
    /// What happened, for people.
    pub message: String,
    /// What to try, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal, $retry:ident;)*) => {
        /// The kind of an error: a stable name, a status, and whether the same request may succeed later.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire; never changes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Tells whether the same request may succeed later without a change.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retry!(),)* }
            }
        }
    };
}
macro_rules! permanent {
    () => {
        false
    };
}
macro_rules! temporary {
    () => {
        true
    };
}

error_codes! {
    /// The caller may not know whether the thing exists.
    Unauthorized = 401, permanent;
    /// The caller is known, and may not do this.
    AccessError = 403, permanent;
    /// No such cache.
    NoSuchCache = 404, permanent;
    /// No such store path, NAR or document in the cache.
    NoSuchObject = 404, permanent;
    /// No such token, or none that the caller may know of.
    NoSuchToken = 404, permanent;
    /// The identity is not good, or nothing here trusts it. Which of both is in the server's log only.
    IdentityRefused = 403, permanent;
    /// The URL names nothing that this server has.
    NotFound = 404, permanent;
    /// The method does not go with the URL.
    MethodNotAllowed = 405, permanent;
    /// The body took too long to arrive.
    BodyTimeout = 408, temporary;
    /// The cache, or the whole server, takes nothing in.
    ReadOnly = 403, permanent;
    /// The cache holds as much as it may.
    QuotaExceeded = 403, permanent;
    /// Something that stays refers to the path, or keeps it.
    PathInUse = 409, permanent;
    /// A cache of that name is there already.
    CacheAlreadyExists = 409, permanent;
    /// The narinfo names a NAR that has not been uploaded to this cache.
    NarNotUploaded = 409, permanent;
    /// A limit of the server on the size of a body, or of what it decodes to.
    TooLarge = 413, permanent;
    /// An encoding that the server does not know.
    UnsupportedEncoding = 415, permanent;
    /// The range lies outside the file.
    RangeNotSatisfiable = 416, permanent;
    /// The request is malformed.
    RequestError = 400, permanent;
    /// A store path, or the metadata beside it, is malformed or contradicts itself.
    InvalidPathInfo = 400, permanent;
    /// The narinfo is malformed.
    InvalidNarInfo = 400, permanent;
    /// The body is not a NAR.
    InvalidNar = 400, permanent;
    /// The compressed body cannot be decoded.
    InvalidCompression = 400, permanent;
    /// The NAR does not have the hash that was announced.
    NarHashMismatch = 400, permanent;
    /// The NAR does not have the size that was announced.
    NarSizeMismatch = 400, permanent;
    /// The uploaded file does not have the hash or size that was announced.
    FileHashMismatch = 400, permanent;
    /// The body ended early.
    IncompleteBody = 400, temporary;
    /// A chunk that was sent is not what its name says.
    InvalidChunk = 400, permanent;
    /// A key is malformed.
    InvalidKey = 400, permanent;
    /// The cache has no claim of that number.
    NoSuchClaim = 404, permanent;
    /// The cache has no such tag.
    NoSuchTag = 404, permanent;
    /// A claim that cannot be, or that was taken back.
    InvalidClaim = 422, permanent;
    /// The bytes are not the derivation that their name says.
    InvalidDerivation = 400, permanent;
    /// A claim is not clean, or may not be promoted for another reason.
    NotClean = 422, permanent;
    /// Somebody else has moved the tag meanwhile.
    TagMoved = 409, permanent;
    /// The tag, or what it points at, cannot change in this way.
    TagFixed = 409, permanent;
    /// Somebody else has changed the policy meanwhile.
    PolicyChanged = 409, permanent;
    /// An envelope that is no attestation about the claim.
    InvalidAttestation = 422, permanent;
    /// The tag points at nothing.
    NotPromoted = 409, permanent;
    /// Only what is promoted and public may leave.
    NotPublic = 409, permanent;
    /// Something broke inside; the log has it.
    InternalServerError = 500, temporary;
    /// The server has no key to sign tokens with.
    NoSigningKey = 501, permanent;
    /// The storage or the database is away.
    Unavailable = 503, temporary;
    /// The stored bytes of the NAR are damaged; pushing the path again heals it.
    DamagedNar = 503, temporary;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This table is the contract: a changed line breaks clients.
    #[test]
    fn the_table_of_codes() {
        let table: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|c| format!("{} {}{}", c.status(), c.name(), if c.is_retryable() { " retry" } else { "" }))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
