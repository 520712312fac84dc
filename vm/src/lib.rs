//! A virtual machine with one of Debian's stock kernels, and what it takes to run programs on the
//! host: processes, progress, packages, and the places of a checkout.
#![forbid(unsafe_code)]

pub mod apt;
mod architecture;
mod archive;
pub mod browser;
pub mod console;
pub mod initramfs;
mod kernel;
mod libraries;
mod machine;
mod origin;
pub mod process;
pub mod progress;
pub mod prometheus;
mod scratch;
mod terminal;
pub mod workspace;

pub use architecture::Architecture;
pub use kernel::{Kernel, Series};
pub use machine::{Clock, Machine, same_path};
pub use terminal::plain;
