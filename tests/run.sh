#!/usr/bin/env bash
# Run every test and count: the Criterion binary, the scripts over the programs, the layer rules. What passes is
# only counted, what fails is shown in full. Usage: tests/run.sh BUILD_DIR
set -u
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: tests/run.sh BUILD_DIR" >&2; exit 2; }
build=$(realpath "$1")
cd "$(dirname "$0")/.." || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

# The sanitizers stop at the first finding; a stack says where. Tests ask for more memory than there is.
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:exitcode=66:allocator_may_return_null=1}

# count NAME PASSED FAILED SKIPPED: what began at $start
count() {
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    printf '== %s: %d passed, %d failed, %d skipped, %d s\n' "$@" $((SECONDS - start))
}

# Criterion prints failures and one synthesis line, which leaves skipped tests out; those are in its TAP report. A
# test that leaks passes for Criterion, as LeakSanitizer speaks up after it has reported: its reports are counted.
run_criterion() {
    local name=qinstests numbers code tested ok bad skips leaks start=$SECONDS
    printf '== %s\n' "$name"
    LC_ALL=C TERM=dumb timeout -k 10 3600 "$build/qinstests" -j"$(nproc)" --color=never --tap="$tmp/tap" >"$tmp/out" 2>&1
    code=$?
    grep -av 'Synthesis: Tested:' "$tmp/out"
    numbers=$(sed -nE 's/.*Synthesis: Tested: ([0-9]+) \| Passing: ([0-9]+) .*/\1 \2/p' "$tmp/out" | tail -n 1)
    if [ -z "$numbers" ]; then
        echo "FAIL - $name: it ended with exit code $code before its summary"
        count "$name" 0 1 0
        return
    fi
    read -r tested ok <<<"$numbers"
    bad=$((tested - ok))
    leaks=$(grep -ac 'ERROR: LeakSanitizer' "$tmp/out")
    [ "$leaks" -gt 0 ] && echo "FAIL - $name: $leaks tests leak memory (reports above)"
    [ "$leaks" -gt "$ok" ] && leaks=$ok
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "FAIL - $name: exit code $code"
        bad=1
    fi
    sed -nE 's/^ok - ([^ ]+) +# SKIP (.*)/skip - \1: \2/p' "$tmp/tap"
    skips=$(grep -ac '# SKIP' "$tmp/tap")
    count "$name" $((ok - leaks)) $((bad + leaks)) "$skips"
}

# run_script SCRIPT: its output, exit code and seconds into files of its name.
run_script() {
    local name=$tmp/${1##*/} start=$SECONDS
    timeout -k 10 3600 "$1" "$build" >"$name.out" 2>&1
    echo $? $((SECONDS - start)) >"$name.end"
}

# show_script SCRIPT: counts its lines 'ok - ', 'FAIL - ', 'skip - ' and shows all but the first kind.
show_script() {
    local name=$tmp/${1##*/} code seconds bad
    read -r code seconds <"$name.end"
    printf '== %s\n' "$1"
    grep -av '^ok - ' "$name.out"
    bad=$(grep -ac '^FAIL - ' "$name.out")
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "FAIL - $1: exit code $code"
        bad=1
    fi
    start=$((SECONDS - seconds))
    count "$1" "$(grep -ac '^ok - ' "$name.out")" "$bad" "$(grep -ac '^skip - ' "$name.out")"
}

# Scripts mostly wait: for terminals, a browser, limits of time. As many run together as there are processors.
run_scripts() {
    local script
    for script in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
        run_script "$script" &
    done
    wait
    for script in "$@"; do show_script "$script"; done
}

run_criterion
run_scripts tests/cli/test_*.sh tests/check_layers.sh
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
