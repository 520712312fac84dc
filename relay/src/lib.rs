//! relay: a WireGuard hub whose policy is decided and counted by eBPF in the kernel.
//!
//! Data flows one way: config → model → policy → plan → kernel → stats. Everything before `apply`
//! is pure. ARCHITECTURE.md has the map and who may import whom.
#![warn(missing_docs)]

pub mod bench;
pub mod cli;
pub mod config;
pub mod datapath;
pub mod doctor;
pub mod engine;
pub mod graph;
pub mod history;
pub mod learnt;
pub mod mesh;
pub mod model;
pub mod names;
pub mod net;
pub mod policy;
pub mod serve;
pub mod stats;
mod units;
pub mod wireguard;
