//! The documentation: the generated part of `docs/reference` against the program that it
//! describes, and the links, the table of contents and the line width of every page.
//!
//! `cargo xtask docs` writes the generated parts.

mod commands;
mod configuration;
mod json;
mod markdown;
mod metrics;
mod page;
mod pages;
mod reasons;
mod schema;
mod shown;
