# For the tests of the programs, sourced with the build folder as $1: a folder of their own, and how results are
# reported.
# shellcheck shell=bash disable=SC2034 # used by the tests
set -u
build=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

ok() { echo "ok - $1"; }
fail() { echo "FAIL - $1: $2"; failed=1; }

# equal NAME EXPECTED ACTUAL
equal() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "expected '$2', got '$3'"; fi; }
