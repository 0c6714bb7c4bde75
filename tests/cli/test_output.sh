#!/usr/bin/env bash
# The outputs of qinsrun: pipes, --json, --logprobs, -q, -v, --stats, --plan. Usage: test_output.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

# Files hold what "$(...)" would drop: NULs and the last newline.
same_bytes() { if cmp -s "$2" "$3"; then ok "$1"; else fail "$1" "$(od -c "$3" | head -n 3)"; fi; }
has() { if grep -qE -- "$2" <<<"$3"; then ok "$1"; else fail "$1" "no '$2' in: $3"; fi; }
field() { grep -oE "\"$1\":(\"[^\"]*\"|[^,}]*)" <<<"$2" | head -n 1 | cut -d: -f2-; }

# --- pipes ---
"$run" -m "$demo" -p "$question" >"$tmp/reply" 2>/dev/null
printf 'The capital of France is Paris.' | same_bytes "the reply and nothing else" - "$tmp/reply"
[ -s "$tmp/reply" ] && ! grep -q $'\033' "$tmp/reply" && ok "no colour" || fail "no colour" "$(cat "$tmp/reply")"
echo "$question" | "$run" -m "$demo" >"$tmp/out" 2>/dev/null
same_bytes "a prompt that echo writes" "$tmp/reply" "$tmp/out"
"$run" -m "$demo" >"$tmp/out" 2>/dev/null <<TEXT
$question
TEXT
same_bytes "a here-document" "$tmp/reply" "$tmp/out"
expect "an empty prompt" 2 'prompt is empty' "$run" -m "$demo"
"$run" chat -m "$demo" </dev/null >"$tmp/out" 2>/dev/null; equal "an empty chat ends well" "0 0" "$? $(wc -c <"$tmp/out")"
"$run" -m "$demo" -q -p "Tell me a story." -n 300 2>"$tmp/err" | head -c 10 >"$tmp/out"
equal "a reader that stops: the exit code, the bytes, the messages" "141 10 0" "${PIPESTATUS[0]} $(wc -c <"$tmp/out") $(wc -c <"$tmp/err")"
for program in "$run --help-all" "$build/qinsconvert --help" "$run info -m $demo"; do
    $program 2>"$tmp/err" | true # it ends at once or has written already
    equal "a reader that is gone: ${program##*/}" "" "$(cat "$tmp/err")"
done
head -c 1000000 /dev/zero | tr '\0' a | "$run" -m "$demo" >"$tmp/out" 2>"$tmp/err"
equal "a prompt of 1 MB that does not fit" "4 0" "$? $(wc -c <"$tmp/out")"
has "a prompt of 1 MB: its tokens are counted" '[0-9]{5,} tokens of prompt' "$(cat "$tmp/err")"
printf 'caf\xc3 \xff\xfe?' | "$run" -m "$demo" -n 1 >/dev/null 2>"$tmp/err"; equal "invalid UTF-8 is a prompt" 0 $?
printf 'a\0b' | "$run" -m "$demo" -n 1 --verbose-prompt >/dev/null 2>"$tmp/err"; equal "NUL is a byte of the prompt" 0 $?
equal "NUL: its token is there" 1 "$(grep -c '<0x00>' "$tmp/err")"

# --- records ---
json=$("$run" -m "$demo" -p "$question" --json 2>/dev/null)
equal "one line of JSON" 1 "$(wc -l <<<"$json")"
equal "json: text" '"The capital of France is Paris."' "$(field text "$json")"
equal "json: finish reason" '"stop_token"' "$(field finish_reason "$json")"
ids=$("$run" -m "$demo" -p "$question" --ids-out 2>/dev/null)
equal "json: ids as --ids-out prints them" "[${ids// /,}]" "$(grep -oE '"ids":\[[^]]*\]' <<<"$json" | cut -d: -f2)"
equal "json: reply of -n 3" '"length" 3' "$(json=$("$run" -m "$demo" -p "$question" -n 3 --json 2>/dev/null); echo "$(field finish_reason "$json") $(field generated_tokens "$json")")"
equal "json: a stop text" '"stop_text" "Paris" "The capital of France is "' \
    "$(json=$("$run" -m "$demo" -p "$question" --stop Paris --json 2>/dev/null); echo "$(field finish_reason "$json") $(field stop_text "$json") $(field text "$json")")"
equal "a stop text across tokens" "The ca" "$("$run" -m "$demo" -p "$question" --stop Lyon --stop pital 2>/dev/null)"
logprobs=$("$run" -m "$demo" -p "$question" -n 1 --json --logprobs 2 2>/dev/null)
# The first generated token's figures, from score on the same ids.
printf '<|user|>\n%s<|end|>\n<|assistant|>\n' "$question" | "$run" tokenize -m "$demo" >"$tmp/ids" 2>/dev/null
best=$("$run" score -m "$demo" --ids "$tmp/ids" --top 2 2>/dev/null | tail -n 1 | sed -E 's/.*"top":\[\[([0-9]+),[^]]*\],\[([0-9]+),.*/\1 \2/')
equal "logprobs: the best tokens of score" "$best" "$(grep -oE '"top":\[.*' <<<"$logprobs" | grep -oE '"id":[0-9]+' | cut -d: -f2 | xargs)"
expect "logprobs without a record" 2 'add --json' "$run" -m "$demo" -p "$question" --logprobs 2

# --- stderr ---
expect "-q: nothing on stderr" 0 '' "$run" -m "$demo" -p "$question" -q
equal "-q: nothing on stderr, indeed" "" "$(cat "$tmp/err")"
expect "-q keeps errors" 3 'missing.qins' "$run" -m "$tmp/missing.qins" -p x -q
expect "--stats json" 0 '^\{"finish_reason":"stop_token",.*"computed_tokens":12,.*\}$' "$run" -m "$demo" -p "$question" --stats json
expect "-v: threads" 0 '^threads   2 of [0-9]+ cores' "$run" -m "$demo" -p "$question" -v -t 2
expect "more threads than cores" 0 '^qinsrun: -t 200 is more than' "$run" -m "$demo" -p "$question" -t 200 -n 1
expect "--verbose-prompt: a line for each token" 0 '^     0 +[0-9]+  <\|user\|>$' "$run" -m "$demo" -p "$question" --verbose-prompt
equal "--verbose-prompt: as many as the prompt has" 12 "$(grep -cE '^ +[0-9]+ +[0-9]+  ' "$tmp/err")"

# --- plan ---
plan=$("$run" -m "$demo" --plan --json -c 100 -t 1 2>/dev/null)
equal "plan: KV bytes" "$((100 * $(field kv_token_bytes "$plan")))" "$(field kv_bytes "$plan")"
small=$("$run" -m "$demo" --plan --json -c 100 -t 1 --kv-k qins8 --kv-v qins4 2>/dev/null)
equal "plan: small caches, of 3 heads of 16 in 5 layers" $((5 * 3 * (16 + 2 + 17 + 2) + 4)) "$(field kv_token_bytes "$small")"
has "plan: the types of the caches" 'K qins8, V qins4' "$("$run" -m "$demo" --plan --kv-k qins8 --kv-v qins4 2>/dev/null)"
equal "plan: the weights are the file" "$(wc -c <"$demo")" "$(field weights_bytes "$plan")"
has "plan: of a folder, without converting it" '"converted":true' "$("$run" -m tests/data/demo --plan --json 2>/dev/null)"
peak=$(field peak_mib "$("$run" -m "$demo" -p "$question" -c 100 -t 1 --json 2>/dev/null)")
total=$(field total_bytes "$plan")
awk -v peak="$peak" -v total="$total" 'BEGIN { exit !(peak * 1048576 <= total * 1.25 + 4194304) }' &&
    ok "plan: what is used is not far above it" || fail "plan: what is used is not far above it" "$peak MiB, planned $total bytes"
expect "plan: a context beyond the model's" 4 'more than this model' "$run" -m "$demo" --plan -c 100000
exit $failed
