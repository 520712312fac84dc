//! How the guard is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // BLAKE2s computes with words of 32 bits, which the default keeps in registers of 64 and cuts
    // after every step. Kernel 4.18.
    println!("cargo:rustc-link-arg-bin=relay-guard=--cpu-features=+alu32");
}
