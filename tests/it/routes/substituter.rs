//! `/{cache}/…`: what Nix reads.

mod cache_info;
mod document;
mod kept;
mod listing;
mod log;
mod nar;
mod narinfo;
mod privacy;
mod realisation;
mod root;
