# For the tests of qinsrun, sourced with the build folder as $1: the programs, the demo model converted into a folder of
# its own, and how results are reported.
# shellcheck shell=bash disable=SC2034 # used by the tests
set -u
build=$1
run=$build/qinsrun
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
demo=$tmp/demo.qins
question="What is the capital of France?"

ok() { echo "ok - $1"; }
fail() { echo "FAIL - $1: $2"; failed=1; }

# expect NAME EXIT_CODE TEXT COMMAND...: the exit code, and TEXT (a regular expression, may be empty) in stderr.
expect() {
    local name=$1 code=$2 text=$3 got
    shift 3
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ "$got" -ne "$code" ]; then fail "$name" "exit code $got, expected $code: $(tail -n 2 "$tmp/err")"
    elif [ -n "$text" ] && ! grep -qE -- "$text" "$tmp/err"; then fail "$name" "no '$text' in: $(cat "$tmp/err")"
    else ok "$name"; fi
}

# equal NAME EXPECTED ACTUAL
equal() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "expected '$2', got '$3'"; fi; }

"$build/qinsconvert" tests/data/demo -o "$demo" >/dev/null 2>"$tmp/err" || { echo "FAIL - convert the demo: $(cat "$tmp/err")"; exit 1; }
