//! Promotion with real Nix: claims, verification, tags, views, exports.

mod flake;
mod lab;
mod lost;
mod moved;
mod predicates;
mod pressure;
mod refused;
mod rights;
mod view;
