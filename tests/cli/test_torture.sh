#!/usr/bin/env bash
# The short form of `make torture`: damaged files, failing calls, kills, races; each row of its table is a test.
# Usage: test_torture.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
case $(basename "$build") in
asan | tsan)
    echo "skip - torture: a sanitizer's library must be loaded first"
    exit 0
    ;;
esac
[ -x "$build/torture" ] || { echo "skip - torture: it is not built"; exit 0; }
"$build/torture" "$build" --short >"$tmp/table" 2>"$tmp/err"
code=$?
# NAME TRIED, and five zeros
sed -nE 's/^(.*[^ ]) +([1-9][0-9]*)( +0){5}$/ok - \1: \2 tried/p' "$tmp/table"
sed -nE '1d; /( +0){5}$/d; s/^(.*[0-9])$/FAIL - torture: \1/p' "$tmp/table"
equal "the table ends well" "0 all as it must be" "$code $(tail -n 1 "$tmp/table")"
[ -s "$tmp/err" ] && sed 's/^/    /' "$tmp/err"
exit $failed
