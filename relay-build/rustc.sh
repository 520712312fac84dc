#!/bin/sh
# What cargo runs in place of rustc for the eBPF programs: rustc, with a fixed name in the symbols of
# our crates. Cargo's own is a hash of the absolute path of relay-common, which is outside the
# workspace of the programs, and so of where the checkout is.
set -eu
crate=
before=
for argument; do
	shift
	case "$before $argument" in
	"--crate-name relay_"*) crate=$argument ;;
	"-C metadata="*) [ -z "$crate" ] || argument=metadata=$crate ;;
	esac
	set -- "$@" "$argument"
	before=$argument
done
exec "$@"
