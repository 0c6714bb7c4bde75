#!/usr/bin/env bash
# Run tests and count: the Criterion suites, the scripts over the programs, the layer rules. Passed tests are only
# counted; failures are shown in full, and its last line again in the summary.
# Usage: tests/run.sh BUILD_DIR [PART...]
# Without a PART, all but the scripts that have a line "# Slow: REASON". PART: `all`, or the beginning of the names of
# suites and scripts, such as `kernels` or `serve`.
set -u
[ $# -ge 1 ] && [ -d "$1" ] || { echo "usage: tests/run.sh BUILD_DIR [PART...]" >&2; exit 2; }
build=$(realpath "$1")
shift
cd "$(dirname "$0")/.." || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The sanitizers stop at the first finding; a stack says where. Tests ask for more memory than there is.
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:exitcode=66:allocator_may_return_null=1}

# --- selection ---

filter= # of Criterion: none of its suites, unless it is set
scripts=()
all_scripts() { ls tests/cli/test_*.sh tests/check_layers.sh; }
slow_scripts() { all_scripts | xargs grep -l '^# Slow: '; }
suites_of() { grep -ohE "^Test\($1[a-z0-9_]*" tests/test_*.c; }
scripts_of() { all_scripts | grep -E "/(test|check)_$1[^/]*$"; }

case $* in
'' | all)
    filter='*/*'
    mapfile -t scripts < <(slow_scripts) # they come first: at the end, one would keep the others waiting
    [ "$*" = all ] || scripts=()
    mapfile -t -O ${#scripts[@]} scripts < <(comm -23 <(all_scripts | sort) <(slow_scripts | sort))
    ;;
*)
    for part in "$@"; do
        [[ $part =~ ^[a-z0-9_]+$ ]] && { suites_of "$part" || scripts_of "$part"; } >/dev/null || {
            echo "tests/run.sh: no suite and no script begins with '$part'; see tests/test_*.c and tests/cli/test_*.sh" >&2
            exit 2
        }
        suites_of "$part" >/dev/null && filter+="${filter:+|}$part*"
        mapfile -t -O ${#scripts[@]} scripts < <(scripts_of "$part")
    done
    filter=${filter:+"@($filter)/*"}
    ;;
esac

# --- execution: output, exit code and seconds into files of the job's name ---

# run_job NAME COMMAND...
run_job() {
    local start=$SECONDS
    timeout -k 10 1800 "${@:2}" >"$tmp/$1.out" 2>&1
    echo $? $((SECONDS - start)) >"$tmp/$1.end"
}
run_suites() {
    LC_ALL=C TERM=dumb run_job qinstests "$build/qinstests" -j"$(nproc)" --color=never --tap="$tmp/tap" --filter "$filter"
}

# --- results ---

passed=0 failed=0 skipped=0 shown=0
n_jobs=$((${#scripts[@]} + (${#filter} > 0)))

# show NAME PASSED FAILED SKIPPED SECONDS: a job's line, and the failures from NAME.txt; keeps both for the summary.
show() {
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4)) shown=$((shown + 1))
    printf '[%d/%d] %s: %d passed, %d failed, %d skipped, %d s\n' $shown $n_jobs "$@"
    cat "$tmp/$1.txt"
    grep -a '^FAIL - ' "$tmp/$1.txt" | sed "s|^FAIL - |FAIL - $1: |" >>"$tmp/failures"
    grep -a '^skip - ' "$tmp/$1.txt" | sed "s|^skip - .*: |$1: |" >>"$tmp/skips"
}

# Criterion prints failures and one synthesis line, which leaves skipped tests out; those are in its TAP report. A
# test that leaks passes for Criterion, as LeakSanitizer speaks up after it has reported: its reports are counted.
show_suites() {
    local name=qinstests code seconds tested ok bad leaks
    read -r code seconds <"$tmp/$name.end"
    grep -av 'Synthesis: Tested:' "$tmp/$name.out" >"$tmp/$name.txt"
    if ! read -r tested ok < <(sed -nE 's/.*Synthesis: Tested: ([0-9]+) \| Passing: ([0-9]+) .*/\1 \2/p' "$tmp/$name.out" | tail -n 1); then
        echo "FAIL - it ended with exit code $code before its summary" >>"$tmp/$name.txt"
        show $name 0 1 0 "$seconds"
        return
    fi
    bad=$((tested - ok))
    leaks=$(grep -ac 'ERROR: LeakSanitizer' "$tmp/$name.out")
    [ "$leaks" -le "$ok" ] || leaks=$ok
    {
        sed -nE 's/^\[FAIL\] ([a-z0-9_]+::[a-z0-9_]+).*/FAIL - \1/p' "$tmp/$name.out"
        [ "$leaks" -eq 0 ] || echo "FAIL - $leaks tests leak memory (reports above)"
        [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || echo "FAIL - exit code $code"
        sed -nE '/SKIP test was skipped$/d; s/^ok - ([^ ]+) +# SKIP ?(.*)/skip - \1: \2/p' "$tmp/tap" # d: by the filter
    } >>"$tmp/$name.txt"
    [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    show $name $((ok - leaks)) $((bad + leaks)) "$(grep -ac '^skip - ' "$tmp/$name.txt")" "$seconds"
}

# show_script SCRIPT: counts its lines 'ok - ', 'FAIL - ', 'skip - ' and shows all but the first kind.
show_script() {
    local name=${1##*/} code seconds bad
    read -r code seconds <"$tmp/$name.end"
    grep -av '^ok - ' "$tmp/$name.out" >"$tmp/$name.txt"
    bad=$(grep -ac '^FAIL - ' "$tmp/$name.txt")
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
        echo "FAIL - exit code $code" >>"$tmp/$name.txt"
        bad=1
    fi
    show "$name" "$(grep -ac '^ok - ' "$tmp/$name.out")" "$bad" "$(grep -ac '^skip - ' "$tmp/$name.txt")" "$seconds"
}

# Scripts mostly wait: for terminals, a browser, limits of time. As many jobs run together as there are processors; the
# suites are one of them.
declare -A running=()
show_next() {
    local process
    wait -n -p process "${!running[@]}"
    "${running[$process]% *}" "${running[$process]#* }"
    unset "running[$process]"
}
start() { # WHEN_DONE NAME COMMAND...
    [ ${#running[@]} -lt "$(nproc)" ] || show_next
    "${@:3}" &
    running[$!]="$1 $2"
}
[ -z "$filter" ] || start show_suites qinstests run_suites
for script in "${scripts[@]}"; do start show_script "$script" run_job "${script##*/}" "$script" "$build"; done
while [ ${#running[@]} -gt 0 ]; do show_next; done

# --- the summary ---

printf '== summary, %d s\n' $SECONDS
[ ! -s "$tmp/skips" ] || sort "$tmp/skips" | uniq -c | sed -E 's/^ *([0-9]+) /skipped \1 - /'
[ ! -s "$tmp/failures" ] || cat "$tmp/failures"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
