//! Promotion with real Nix: claims, verification, tags, views, exports.

mod flake;
mod lab;
mod moved;
mod refused;
mod rights;
