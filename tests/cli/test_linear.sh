#!/usr/bin/env bash
# Every parser on input of n and of 2n parts, by counted operations (tests/linear). Usage: test_linear.sh BUILD_DIR
# Slow: the sources are built once more.
. "$(dirname "$0")/report.sh"
case $(basename "$build") in
asan | tsan)
    echo "skip - linear parsers: counted in a build of their own"
    exit 0
    ;;
esac
env -u MAKEFLAGS -u MAKELEVEL make -s -j2 config=counted BUILD="$1/counted" "$1/counted/linear" >"$tmp/out" 2>&1
equal "the counting build is made" 0 $? || cat "$tmp/out"
"$1/counted/linear" || failed=1
exit $failed
