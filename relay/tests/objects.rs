//! The eBPF objects are the same wherever they are built: whoever has the source can compare them
//! with those of a release.

use std::{
    fs,
    path::{Path, PathBuf},
};

use relay_build::{OBJECTS, Programs, Toolchain};

#[test]
fn a_build_in_other_directories_makes_the_same_objects() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let toolchain = Toolchain::find().expect("the toolchain that built relay");
    let programs = Programs::of(toolchain, &checkout, std::env::consts::ARCH).expect("a checkout");

    let elsewhere = tempfile::tempdir().expect("a directory");
    let root = elsewhere.path().canonicalize().expect("a directory");
    let other = Programs {
        checkout: root.join("another/checkout"),
        cargo_home: root.join("cargo"),
        ..programs.clone()
    };
    copy(&programs.checkout.join("Cargo.toml"), &other.checkout.join("Cargo.toml"));
    for directory in ["relay-common", "relay-ebpf"] {
        copy(&programs.checkout.join(directory), &other.checkout.join(directory));
    }
    // Of which cargo unpacks the sources anew.
    for part in ["config.toml", "registry/index", "registry/cache"] {
        let from = programs.cargo_home.join(part);
        if from.exists() {
            copy(&from, &other.cargo_home.join(part));
        }
    }
    let output = root.join("objects");
    fs::create_dir(&output).expect("a directory");
    other.build(&root.join("a/target/directory"), &output).expect("a build");

    for object in OBJECTS {
        let read = |path: PathBuf| fs::read(path).expect("an object");
        let here = read(Path::new(env!("OUT_DIR")).join(object));
        let there = read(output.join(object));
        let differs = here.iter().zip(&there).position(|(a, b)| a != b);
        assert!(
            here == there,
            "{object}: {} and {} bytes, which differ at {differs:?}",
            here.len(),
            there.len()
        );
    }
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
    if from.is_file() {
        fs::copy(from, to).expect("a copy");
        return;
    }
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
