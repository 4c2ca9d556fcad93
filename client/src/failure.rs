//! From errors to what people are told: the exit status, the text, and what to try.

use std::io;

use client::{
    api::ApiError,
    nix::{ResolveError, StoreError, StorePlaceError},
    push::{PushError, UploadError},
};
use protocol::ErrorCode;

use crate::{
    output::{ExitStatus, Failure},
    target::Target,
};

pub(crate) fn runtime(error: &io::Error) -> Failure {
    Failure::new(ExitStatus::Failed, format!("cannot start: {error}"))
}

pub(crate) fn api(error: &ApiError) -> Failure {
    let status = if error.is_not_allowed() {
        ExitStatus::NotAllowed
    } else if error.is_unreachable() {
        ExitStatus::Unreachable
    } else {
        ExitStatus::Failed
    };
    let failure = Failure::of(status, error);
    match error {
        ApiError::Unreachable { .. } => failure.hint("is the address right, and does the server run?"),
        ApiError::Broken { .. } | ApiError::Stalled { .. } => {
            failure.hint("it was tried several times; what arrived is kept, so trying again later sends only the rest")
        }
        ApiError::Answer { .. } | ApiError::AnswerTooLong { .. } => {
            failure.hint("the address must be that of the server, without a cache's name")
        }
        ApiError::Token => failure.hint("a token is one line of letters, digits, '-', '_' and '.'"),
        ApiError::Setup(_) => failure.hint("are there CA certificates on this machine?"),
        ApiError::Refused(refusal) => {
            let hint = match (refusal.hint(), refusal.code()) {
                (Some(hint), _) => hint,
                (None, Some(ErrorCode::NoSuchCache)) => "create it with `cache create`",
                (None, Some(ErrorCode::NotFound)) => "the address must be that of the server, without a cache's name",
                (None, Some(ErrorCode::ReadOnly)) => "an admin of the cache turns that with `cache limits`",
                (None, Some(ErrorCode::CacheAlreadyExists)) => "change it with `cache configure`",
                (None, _) if status == ExitStatus::NotAllowed => {
                    "log in with a token that allows this, or set ATTIC_TOKEN; tokens expire"
                }
                (None, _) => return failure,
            };
            failure.hint(hint)
        }
    }
}

/// The same, for a request about a cache: a refusal alone does not say of what.
pub(crate) fn api_about(target: &Target, error: &ApiError) -> Failure {
    match error {
        ApiError::Refused(_) => api(error).about(target),
        ApiError::Token
        | ApiError::Setup(_)
        | ApiError::Unreachable { .. }
        | ApiError::Broken { .. }
        | ApiError::Stalled { .. }
        | ApiError::Answer { .. }
        | ApiError::AnswerTooLong { .. } => api(error),
    }
}

pub(crate) fn store(error: &StoreError) -> Failure {
    let failure = Failure::of(ExitStatus::Failed, error);
    match error {
        StoreError::Start { .. } => failure.hint("is Nix installed, and `nix` in PATH?"),
        StoreError::NotValid(_) => failure.hint("build it first, or leave it out; it may have been garbage-collected"),
        StoreError::Failed { .. } | StoreError::Answer { .. } => failure,
    }
}

pub(crate) fn place(error: &StorePlaceError) -> Failure {
    Failure::of(ExitStatus::Usage, error).hint("see NIX_STORE_DIR and NIX_REMOTE")
}

pub(crate) fn resolve(error: &ResolveError) -> Failure {
    let failure = Failure::of(ExitStatus::Usage, error);
    match error {
        ResolveError::NotInStore { .. } | ResolveError::Name { .. } => {
            failure.hint("give store paths, or links to them such as ./result")
        }
        ResolveError::Read { .. } | ResolveError::Loop(_) => failure,
    }
}

pub(crate) fn push(target: &Target, error: &PushError) -> Failure {
    match error {
        PushError::Api(error) => api_about(target, error),
        PushError::Store(error) => store(error),
        PushError::StoreDir { .. } => {
            Failure::of(ExitStatus::Failed, error).hint("push to a cache that was created with this --store-dir")
        }
        PushError::BadStoreDir { .. } => Failure::of(ExitStatus::Failed, error),
    }
}

pub(crate) fn upload(error: &UploadError) -> Failure {
    match error {
        UploadError::Api(error) => api(error),
        UploadError::Read(_) => Failure::of(ExitStatus::Failed, error),
        UploadError::Damaged { .. } => Failure::of(ExitStatus::Failed, error)
            .hint("try `nix-store --verify-path`, and repair it with `nix-store --repair-path`"),
    }
}
