//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod docs;
pub(crate) mod fuzz;
pub(crate) mod layers;
pub(crate) mod setup;
pub(crate) mod test;
pub(crate) mod vm;
