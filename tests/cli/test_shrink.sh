#!/usr/bin/env bash
# A model file that is cut off under its mapping: one line and exit code 3 in every command; the server outlives it.
# Usage: test_shrink.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
shim=$tmp/machine.so
if ! ${CC:-cc} -shared -fPIC -o "$shim" tests/cli/machine.c -ldl 2>"$tmp/err" || ! LD_PRELOAD=$shim "$run" --version >/dev/null 2>&1; then
    echo "skip - files that shrink: no library can be loaded before this build's"
    exit 0
fi
m=$tmp/m.qins
message="$m was changed or cut off while in use, or can no longer be read"
"$build/qinsconvert" tests/data/demo -o "$tmp/whole.qins" --type f32 --quiet
bytes=$(wc -c <"$tmp/whole.qins")
echo "$question" >"$tmp/text"
"$run" tokenize -m "$demo" -f "$tmp/text" >"$tmp/ids" 2>/dev/null

# cut BYTES COMMAND...: exit code, and the only line on stderr, of a command whose model is cut off when it is mapped.
cut() {
    local to=$1
    shift
    cp "$tmp/whole.qins" "$m"
    LD_PRELOAD=$shim QINS_CUT=$m QINS_CUT_BYTES=$to "$@" </dev/null >"$tmp/out" 2>"$tmp/err"
    echo "$? $(cat "$tmp/err")"
}
for to in 0 4096 $((bytes / 2)) $((bytes - 70000)); do
    for command in "run -p hi -n 3 -q" "run -p hi -n 3 -q -t 3" "run -p hi -q --json" "score --ids $tmp/ids -q" "perplexity -f $tmp/text -q" \
        "compare --ref $demo -f $tmp/text -q" "verify -t 1" "bench -p 8 -n 2 -r 1 -q" "eval --task tests/data/tasks/hellaswag_stories.jsonl --limit 1 -q"; do
        # shellcheck disable=SC2086 # words
        equal "$to bytes: $command" "3 qinsrun: $message" "$(cut "$to" "$run" ${command%% *} -m "$m" ${command#* })"
    done
    equal "$to bytes: a folder from it" "3 qinsconvert: $message" "$(cut "$to" "$build/qinsconvert" "$m" -o "$tmp/folder" --quiet)"
    [ -e "$tmp/folder" ] && fail "nothing is left of that" "$(ls "$tmp/folder")" || ok "nothing is left of that"
done
equal "0 bytes: info" "3 qinsrun: $message" "$(cut 0 "$run" info -m "$m")"
equal "0 bytes: tokenize" "3 qinsrun: $message" "$(cut 0 "$run" tokenize -m "$m" -f "$tmp/text")"
printf '{"prompt": "hi", "max_tokens": 2}\n%.0s' 1 2 3 >"$tmp/requests"
batch() { "$run" batch -m "$m" -q -t 1 <"$tmp/requests"; }
export run tmp m
export -f batch
equal "a batch" "3 qinsrun: $message" "$(cut $((bytes / 2)) bash -c batch)"
equal "it prints no reply that is worth nothing" "" "$(cat "$tmp/out")"

# --- the server ---
if ! command -v curl >/dev/null; then
    echo "skip - the server: there is no curl"
    exit $failed
fi
cp "$tmp/whole.qins" "$m"
"$run" serve -m "$m" --port 0 -t 1 2>"$tmp/log" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do grep -q 'listening at' "$tmp/log" && break; sleep 0.1; done
url=$(sed -n 's/.*listening at //p' "$tmp/log")
ask() { curl -s -o "$tmp/reply" -w '%{http_code}' --max-time 30 "$@"; }
completion() { ask "$url/v1/completions" -d '{"prompt": "hi", "max_tokens": 2}'; }
equal "a reply" 200 "$(completion)"
truncate -s 65536 "$m"
equal "the reply that meets the fault" 500 "$(completion)"
grep -qF "$message" "$tmp/reply" && ok "it says why" || fail "it says why" "$(cat "$tmp/reply")"
equal "later ones" 503 "$(completion)"
grep -q model_failed "$tmp/reply" && ok "they say so" || fail "they say so" "$(cat "$tmp/reply")"
equal "health" 503 "$(ask "$url/health")"
equal "the server goes on" 200 "$(ask "$url/metrics")"
kill -TERM $server
wait $server
equal "at its end" "3 qinsrun: $message" "$? $(tail -n 1 "$tmp/log")"
exit $failed
