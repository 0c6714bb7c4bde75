#!/usr/bin/env bash
# Little address space (ulimit -v): nothing hangs, the plan accounts for it, and a run that does not fit is refused with a reason.
# Usage: test_limits.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

case $(basename "$build") in
asan | tsan)
    echo "skip - ulimit -v: sanitizers map terabytes"
    exit 0
    ;;
esac
# limited KIB COMMAND...: the exit code, 124 when it does not end within half a minute; output in $tmp/out and $tmp/err
limited() { (ulimit -v "$1" && shift && exec timeout -k 1 30 "$@") >"$tmp/out" 2>"$tmp/err" </dev/null; echo $?; }
number() { grep -oE "\"$1\":[0-9]+" "$tmp/out" | cut -d: -f2; }

for kib in 30000 60000 100000 150000 200000 400000; do
    equal "--version within $kib KiB" 0 "$(limited $kib "$run" --version)"
    code=$(limited $kib "$run" -m "$demo" --plan --json -t 2)
    equal "within $kib KiB a run does what the plan says" "$code" "$(limited $kib "$run" -m "$demo" -p "$question" -n 4 -t 2)"
    for command in "$run -m $demo -p x -n 2 -t 2 --matmul sgemm" "$run bench -m $demo -p 8 -n 2 -r 1 -t 2" \
        "$build/qinsconvert tests/data/demo -o $tmp/calibrated.qins -t 2 --calibrate tests/data/demo/calibration.txt --calibrate-tokens 64"; do
        # shellcheck disable=SC2086 # words
        code=$(limited $kib $command)
        [ "$code" -le 1 ] && ok "${command##*/} ends within $kib KiB" || fail "${command##*/} ends within $kib KiB" "$code: $(tail -n 1 "$tmp/err")"
    done
done
equal "30000 KiB are too few" 1 "$(limited 30000 "$run" -m "$demo" --plan -t 2)"
grep -q 'ulimit -v' "$tmp/err" && ok "the limit is named" || fail "the limit is named" "$(cat "$tmp/err")"
limited 200000 "$run" -m "$demo" --plan --json -t 2 >/dev/null
available=$(number available_bytes)
[ "$available" -lt $((200000 * 1024)) ] && ok "the plan counts the limit" || fail "the plan counts the limit" "$available bytes available"
exit $failed
