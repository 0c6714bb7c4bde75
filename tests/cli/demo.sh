# For the tests of qinsrun, sourced with the build folder as $1: report.sh, and the demo model, converted.
# shellcheck shell=bash disable=SC2034 # used by the tests
. "$(dirname "${BASH_SOURCE[0]}")/report.sh"
run=$build/qinsrun
demo=$tmp/demo.qins
question="What is the capital of France?"

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

"$build/qinsconvert" tests/data/demo -o "$demo" >/dev/null 2>"$tmp/err" || { echo "FAIL - convert the demo: $(cat "$tmp/err")"; exit 1; }
