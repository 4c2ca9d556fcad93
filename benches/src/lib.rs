//! Benchmarks against the running server and its peers: what they have in common.
//!
//! A benchmark is one program that starts itself anew as server and as client ([`roles`]), so that one command builds and measures
//! everything. A [`served::Served`] is a real server with a folder of its own; what passes between it and its clients goes through
//! a [`proxy::Proxy`] that counts; [`process`] tells what a program took of the machine; [`account`] does the unavoidable work of
//! a data set by itself, on one core, so that figures have a physical limit beside them; [`table`] prints.
//! For reading, a [`subject::Subject`] is a cache with the data sets, ours on any [`backend`] or a peer: [`nginx`], [`harmonia`] and
//! [`attic`] can be started here. [`load`] asks it over many connections, a [`board::Board`] has the figures, and [`machine`] tells what
//! the machine can do. [`synthetic`] makes up an index.
//! [`promoted::Promoting`] has a closure promoted, whose bytes are [`contents::Contents`].

pub mod account;
pub mod attic;
pub mod backend;
pub mod board;
pub mod contents;
pub mod harmonia;
pub mod http;
pub mod listening;
pub mod load;
pub mod machine;
pub mod nginx;
pub mod process;
pub mod promoted;
pub mod proxy;
pub mod roles;
pub mod scattered;
pub mod served;
pub mod sets;
pub mod subject;
pub mod synthetic;
pub mod table;
