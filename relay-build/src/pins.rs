//! The versions that releases of relay are built with, each named exactly.

/// rustc of the binary.
pub const RUST: &str = "1.95.0";

/// The day of rustup's nightly that builds for BPF, where Debian's compiler does not.
pub const NIGHTLY: &str = "nightly-2026-05-20";

/// rustc of Debian's `rustc-web`, which builds for BPF.
pub const DEBIAN: &str = "1.96.0";

/// Debian's packages of that compiler, and of the LLVM for the linker.
pub const PACKAGES: [&str; 4] =
    ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "llvm-22-dev"];

/// bpf-linker on crates.io.
pub const BPF_LINKER: &str = "0.13.0";

/// The LLVM that bpf-linker links, as its feature and Debian's directory name it. The compiler's must
/// not be newer.
pub const LLVM: &str = "llvm-22";
