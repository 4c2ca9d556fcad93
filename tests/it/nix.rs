//! The real Nix pushes to the server and substitutes from it.

mod documents;
mod private;
mod push;
mod rebuild;
mod resume;
mod signing;
mod upload;
