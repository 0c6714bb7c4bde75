#!/usr/bin/env bash
# Run the Criterion suites and the scripts with counting programs, and print the executed share (table.awk, which says
# how much is asked for). Whether tests pass is for `make test`. Called by make coverage. Usage: run.sh BUILD_DIR [PART...]
set -u
build=$1
shift
find "$build" -name '*.gcda' -delete
"${CC:-cc}" -O1 -fPIC -shared -o "$build/unconfined.so" tests/coverage/unconfined.c -ldl || exit 1
LD_PRELOAD=$(realpath "$build/unconfined.so") tests/run.sh "$build" "$@" >"$build/coverage.log" 2>&1
tail -n 1 "$build/coverage.log"
find "$build" -name '*.gcno' | grep -v '/tests/' | xargs gcov -b -n 2>/dev/null | awk -f tests/coverage/table.awk
