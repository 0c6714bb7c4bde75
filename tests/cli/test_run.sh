#!/usr/bin/env bash
# tests/run.sh on a made-up tree: the scripts it runs, its counts and output, and its exit code. Usage: test_run.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
tree=$tmp/tree
mkdir -p "$tree/tests/cli" "$tree/build"
cp tests/run.sh "$tree/tests/"
printf 'Test(half, a) {\nTest(half_more, b) {\nTest(json, c) {\n' >"$tree/tests/test_made_up.c"

# program NAME: an executable of the tree with stdin as its commands.
program() { { echo '#!/bin/sh'; cat; } >"$tree/$1" && chmod +x "$tree/$1"; }

# suites: the program of the unit tests, with stdin as its report, EXIT CODE, and TAP lines.
suites() { # CODE TAP
    printf '%s\n' "$2" >"$tree/build/skips"
    cat >"$tree/build/report"
    program build/qinstests <<PROGRAM
for option; do case \$option in --tap=*) cp "\${0%/*}/skips" "\${option#--tap=}" ;; esac; last=\$option; done
echo "\$last" >"\${0%/*}/filter"
cat "\${0%/*}/report"
exit $1
PROGRAM
}
good() { suites 0 'ok - half::a  passed' <<<'[====] Synthesis: Tested: 3 | Passing: 3 | Failing: 0 | Crashing: 0 '; }

run_tests() { "$tree/tests/run.sh" "$tree/build" "$@" >"$tmp/out" 2>"$tmp/err"; code=$?; }
jobs_of() { sed -nE 's/^\[[0-9]+\/[0-9]+\] ([^:]*): .*/\1/p' "$tmp/out" | LC_ALL=C sort | paste -sd ' '; }
line_of() { sed -nE "s/^\[[0-9]+\/[0-9]+\] $1: (.*), [0-9]+ s$/\1/p" "$tmp/out"; }
summary() { sed '1,/^== summary/d' "$tmp/out"; }

good
program tests/check_layers.sh <<<'echo "ok - layers"'
program tests/cli/test_json.sh <<<'echo "ok - one"; echo "ok - two"; echo "skip - three: no tool"; echo "skip - four: no tool"'
program tests/cli/test_serve.sh <<<'echo "ok - one"'
program tests/cli/test_serve_more.sh <<<'# Slow: it waits
echo "ok - one"'

# --- selection ---
run_tests
equal "all but what is slow" "0 check_layers.sh qinstests test_json.sh test_serve.sh" "$code $(jobs_of)"
equal "the number of jobs" 4 "$(grep -c '^\[./4\] ' "$tmp/out")"
equal "all suites" '*/*' "$(cat "$tree/build/filter")"
equal "what passed is counted only" 0 "$(grep -c '^ok' "$tmp/out")"
equal "the summary" "skipped 2 - test_json.sh: no tool
7 passed, 0 failed, 2 skipped" "$(summary)"
run_tests all
equal "all" "0 check_layers.sh qinstests test_json.sh test_serve.sh test_serve_more.sh" "$code $(jobs_of)"
run_tests serve
equal "a part that is scripts, slow ones too" "0 test_serve.sh test_serve_more.sh" "$code $(jobs_of)"
run_tests half
equal "a part that is suites" "0 qinstests @(half*)/*" "$code $(jobs_of) $(cat "$tree/build/filter")"
run_tests json half layers
equal "parts" "0 check_layers.sh qinstests test_json.sh @(json*|half*)/*" "$code $(jobs_of) $(cat "$tree/build/filter")"
for unknown in nothing 'ha.f' ''; do
    run_tests json "$unknown"
    equal "unknown part '$unknown'" "2 1 0" "$code $(grep -c "begins with '$unknown'" "$tmp/err") $(wc -l <"$tmp/out")"
done
"$tree/tests/run.sh" 2>"$tmp/err"
equal "no folder" "2 1" "$? $(grep -c '^usage: ' "$tmp/err")"

# --- failures ---
program tests/cli/test_json.sh <<<'echo "ok - one"; echo "FAIL - two: expected 3"; echo "more of it"; exit 1'
program tests/cli/test_serve.sh <<<'echo "ok - one"; exit 7'
run_tests
equal "exit code" 1 $code
equal "a script with a failure" "1 passed, 1 failed, 0 skipped" "$(line_of test_json.sh)"
equal "is shown in full" 1 "$(grep -c '^more of it$' "$tmp/out")"
equal "a script that ends badly" "1 passed, 1 failed, 0 skipped" "$(line_of test_serve.sh)"
equal "the summary repeats both" "FAIL - test_json.sh: two: expected 3
FAIL - test_serve.sh: exit code 7" "$(summary | sed '$d' | sort)"
equal "and counts" "6 passed, 2 failed, 0 skipped" "$(summary | tail -n 1)"

suites 1 'ok - json::c  # SKIP no data
ok - json::d  # SKIP test was skipped' <<'REPORT'
[----] tests/test_made_up.c:1: Assertion Failed
[FAIL] half::a: (0.00s)
[FAIL] half_more::b: CRASH!
[====] Synthesis: Tested: 5 | Passing: 3 | Failing: 1 | Crashing: 1 
REPORT
run_tests half
equal "failing suites" "1 3 passed, 2 failed, 1 skipped" "$code $(line_of qinstests)"
equal "their output is shown" 1 "$(grep -c 'Assertion Failed$' "$tmp/out")"
equal "the summary names the tests" "skipped 1 - qinstests: no data
FAIL - qinstests: half::a
FAIL - qinstests: half_more::b
3 passed, 2 failed, 1 skipped" "$(summary)"

# ended NAME LINE PATTERN: the suites' line, and the only failure.
ended() {
    run_tests half
    equal "$1" "1 $2" "$code $(line_of qinstests)"
    equal "$1: the summary" 1 "$(summary | grep -cx "FAIL - qinstests: $3")"
}
suites 139 '' <<<'a beginning'
ended "a runner that crashes" "0 passed, 1 failed, 0 skipped" "it ended with exit code 139 before its summary"
suites 3 '' <<<'[====] Synthesis: Tested: 2 | Passing: 2 | Failing: 0 | Crashing: 0 '
ended "an exit code that nothing explains" "2 passed, 1 failed, 0 skipped" "exit code 3"
suites 0 '' <<<'==1==ERROR: LeakSanitizer: detected memory leaks
[====] Synthesis: Tested: 2 | Passing: 2 | Failing: 0 | Crashing: 0 '
ended "a leak" "1 passed, 1 failed, 0 skipped" "1 tests leak memory (reports above)"
exit $failed
