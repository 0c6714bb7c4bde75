#!/usr/bin/env bash
# Run every libFuzzer target of a build for so many seconds, from the seeds in the tree, and print how many executions that
# was; for 0 seconds, the seeds only. Findings go to BUILD_DIR/findings.
# Usage: tests/fuzz/run.sh BUILD_DIR SECONDS (make fuzz T=SECONDS)
set -u
build=$1 seconds=$2 failed=0 total=0
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
for target in "$build"/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=${target##*/fuzz_}
    seeds=tests/fuzz/seeds/$name
    mkdir -p "$build/corpus/$name" "$build/findings"
    if [ "$seconds" -gt 0 ]; then
        limit=-max_total_time=$seconds corpora=("$build/corpus/$name" "$seeds")
    else
        limit=-runs=0 corpora=("$seeds")
    fi
    "$target" "$limit" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -dict=tests/fuzz/json.dict \
        -artifact_prefix="$build/findings/$name-" -print_final_stats=1 "${corpora[@]}" >"$build/$name.log" 2>&1
    code=$?
    count=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)/\1/p' "$build/$name.log")
    total=$((total + ${count:-0}))
    if [ $code -eq 0 ]; then
        echo "ok - $name: ${count:-0} executions"
    else
        echo "FAIL - $name: ${count:-0} executions, exit code $code; see $build/$name.log"
        failed=1
    fi
done
echo "$total executions"
exit $failed
