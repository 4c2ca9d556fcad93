//! Promotion with real Nix: claims, verification, tags, views, exports.

mod example;
mod flake;
mod lab;
mod lost;
mod moved;
mod outside;
mod predicates;
mod pressure;
mod refused;
mod rights;
mod rules;
mod view;
