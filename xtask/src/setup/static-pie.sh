#!/bin/sh
# The linker of static binaries for arm64: gcc, told to make one that runs at an address of the kernel's
# choice. rustc has the start files for that, and asks for them on x86-64 alone.
set -eu
for argument; do
	shift
	case $argument in
	-no-pie) continue ;;
	-static) argument=-static-pie ;;
	*/self-contained/crt1.o) argument=${argument%crt1.o}rcrt1.o ;;
	*/self-contained/crtbegin.o | */self-contained/crtend.o) argument=${argument%.o}S.o ;;
	esac
	set -- "$@" "$argument"
done
exec aarch64-linux-gnu-gcc "$@"
