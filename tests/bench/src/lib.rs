//! What a relayed packet costs, compared with other ways to forward and filter: `cargo xtask bench`.
//!
//! The program `bench` measures and writes a JSON row for each figure ([`measure`]). This library
//! runs it, keeps the figures and presents them.

mod chart;
mod document;
mod flows;
mod goals;
mod grid;
mod guard;
mod guide;
mod layers;
#[cfg(feature = "measure")]
pub mod measure;
mod mesh;
mod rows;
mod runs;
mod table;

pub use document::Document;
pub use guide::write as write_docs;
pub use runs::{Plan, Subject, measure as run};
pub use table::{render, render_changes};
