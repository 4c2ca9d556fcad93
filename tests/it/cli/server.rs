//! `flywheel-server`, also as `atticd` and `atticadm`

mod caches;
mod config;
mod start;
