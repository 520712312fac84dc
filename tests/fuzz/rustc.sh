#!/bin/sh
# Compiles the crates that the fuzzer watches so that it sees which ways an input takes (LLVM's
# SanitizerCoverage, as cargo-fuzz asks for it). Cargo runs this for the crates of the workspace alone;
# what they depend on is compiled once, as for the tests.
for argument in "$@"; do
    case "$previous $argument" in
        "--crate-name relay" | "--crate-name relay_common" | "--crate-name relay_tests" | \
        "--crate-name relay_fuzz" | "--crate-name fuzz")
            exec "$@" -Copt-level=1 -Cpasses=sancov-module \
                -Cllvm-args=-sanitizer-coverage-level=4 \
                -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                -Cllvm-args=-sanitizer-coverage-pc-table \
                -Cllvm-args=-sanitizer-coverage-trace-compares
            ;;
    esac
    previous=$argument
done
exec "$@"
