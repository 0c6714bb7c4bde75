#!/usr/bin/env bash
# Make's messages and actions when something is missing or has changed. Usage: test_build.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
cc=${CC:-cc}
run_make() { env -u MAKEFLAGS -u MAKELEVEL make "$@"; }

run_make -j2 CC="$cc -nostdinc" BUILD="$tmp/none" all >"$tmp/out" 2>"$tmp/err"
equal "make before make deps fails" 2 $?
equal "make before make deps says so, once" 1 "$(grep -c 'run "make deps" first' "$tmp/err")"
equal "make before make deps compiles nothing" "" "$(grep ' CC ' "$tmp/out")"
equal "make makes programs and libraries" 4 "$(run_make -n BUILD="$tmp/none" | grep -cE '^echo "  (LD|AR) .*/(qinsrun|qinsconvert|libqins.so.0|libqins.a)"$')"
run_make CC=no-such-compiler BUILD="$tmp/none" all >"$tmp/out" 2>"$tmp/err"
equal "make without a compiler says so" 1 "$(grep -c 'run "make deps" first' "$tmp/err")"

$cc -std=c11 -I. -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__ -fsyntax-only engine/kernels/code.c 2>"$tmp/err"
equal "a big-endian machine is refused" "1 1" "$? $(grep -c 'error: .*big-endian' "$tmp/err")"

# A fuzzer's own object, as if it had just been compiled.
object=$tmp/fuzz/tests/fuzz/fuzz_qinsfile.o
mkdir -p "${object%/*}"
$cc -std=c11 -D_POSIX_C_SOURCE=200809L -I. -MM -MP -MT "$object" -MF "${object%.o}.d" tests/fuzz/fuzz_qinsfile.c
touch "$tmp/fuzz/libraries" "$object"
compiled() { run_make -n config=fuzz BUILD="$tmp/fuzz" "$@" "$object" | grep -c 'CC tests/fuzz/fuzz_qinsfile.c'; }
equal "a fuzzer that is up to date" 0 "$(compiled)"
equal "a fuzzer after a change of a header" 1 "$(compiled -W engine/format/image.h)"
exit $failed
