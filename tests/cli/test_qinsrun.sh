#!/usr/bin/env bash
# The properties of qinsrun that scripts rely on: only output on stdout, messages, exit codes. Usage: test_qinsrun.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

answer=$("$run" -m "$demo" -p "$question" 2>"$tmp/err")
case $answer in *Paris*) ok "the demo model answers" ;; *) fail "the demo model answers" "$answer" ;; esac
equal "one statistics line on stderr" 1 "$(wc -l <"$tmp/err")"
grep -q 'ended by <|end|>' "$tmp/err" && ok "the reply ends with <|end|>" || fail "the reply ends with <|end|>" "$(cat "$tmp/err")"
equal "prompt from standard input" "$answer" "$(printf %s "$question" | "$run" -m "$demo" 2>/dev/null)"
printf %s "$question" >"$tmp/prompt"
equal "prompt from a file" "$answer" "$("$run" -m "$demo" -f "$tmp/prompt" 2>/dev/null)"
equal "prompt from -f -" "$answer" "$("$run" -m "$demo" -f - <"$tmp/prompt" 2>/dev/null)"
equal "a Hugging Face folder as the model" "$answer" "$("$run" -m tests/data/demo -p "$question" 2>/dev/null)"
for t in 1 2 3; do equal "the same text with $t threads" "$answer" "$("$run" -m "$demo" -p "$question" -t $t 2>/dev/null)"; done
equal "chat from a pipe" "$answer" "$(printf '%s\n' "$question" | "$run" chat -m "$demo" 2>/dev/null)"
equal "chat keeps its turns apart with /clear" "$answer
$answer" "$(printf '%s\n/clear\n%s\n' "$question" "$question" | "$run" chat -m "$demo" 2>/dev/null)"
equal "a stop text ends the reply before it" "${answer%%Paris*}" "$("$run" -m "$demo" -p "$question" --stop Paris 2>/dev/null)"
equal "no tokens with -n 0" "" "$("$run" -m "$demo" -p "$question" -n 0 2>/dev/null)"

ids=$("$run" tokenize -m "$demo" -p "$question" 2>/dev/null)
equal "tokenize --decode undoes tokenize" "$question" "$("$run" tokenize -m "$demo" --decode -p "$ids" 2>/dev/null)"
prompt_tokens() { "$run" -m "$demo" -p 'a<|end|>b' -n 1 "$@" 2>&1 >/dev/null | sed -E 's/.*prompt ([0-9]+) tokens.*/\1/'; }
equal "--parse-special makes a typed marker one token" 6 "$(prompt_tokens --parse-special)"
[ "$(prompt_tokens)" -gt 6 ] && ok "a typed marker is plain text" || fail "a typed marker is plain text" "$(prompt_tokens) tokens"
special=$("$run" tokenize -m "$demo" -p '<|end|>' 2>/dev/null)
plain=$("$run" tokenize -m "$demo" --no-special -p '<|end|>' 2>/dev/null)
[ "$special" != "$plain" ] && ok "--no-special takes a marker as text" || fail "--no-special takes a marker as text" "$plain"
echo "$ids" >"$tmp/ids"
lines=$("$run" score -m "$demo" --ids "$tmp/ids" --top 3 2>/dev/null)
equal "score prints a line per position" "$(wc -w <"$tmp/ids")" "$(echo "$lines" | wc -l)"
for t in 1 2 3; do equal "the same logits with $t threads" "$lines" "$("$run" score -m "$demo" --ids "$tmp/ids" --top 3 -t $t 2>/dev/null)"; done
printf '<|user|>\n%s<|end|>\n<|assistant|>\n' "$question" >"$tmp/chat"
"$run" tokenize -m "$demo" -f "$tmp/chat" >"$tmp/chat_ids" 2>/dev/null
equal "--ids gives a prompt as ids" "$answer" "$("$run" -m "$demo" --ids "$tmp/chat_ids" 2>/dev/null)"
equal "--raw completes a text with its markers" "$answer" "$("$run" -m "$demo" --raw -f "$tmp/chat" 2>/dev/null)"
sentence="The capital of France is"
equal "--raw goes on with the space before its first word" "$sentence Paris." "$sentence$("$run" -m "$demo" --raw -p "$sentence" -n 5 -q)"
"$run" -m "$demo" --ids "$tmp/chat_ids" -n 3 --ids-out >"$tmp/out" 2>/dev/null
equal "--ids-out prints ids" 3 "$(wc -w <"$tmp/out")"
equal "the same seed gives the same text" "$("$run" -m "$demo" -p 'Tell me a story.' --temp 1 -s 7 -n 30 2>/dev/null)" "$("$run" -m "$demo" -p 'Tell me a story.' --temp 1 -s 7 -n 30 2>/dev/null)"
expect "the seed that was used is printed" 0 'seed [0-9]+' "$run" -m "$demo" -p "Hello" --temp 1 -n 3
head -c 2000 tests/oracle/demo_text.py >"$tmp/text"
"$run" compare -m "$demo" --ref tests/data/demo -f "$tmp/text" -c 64 --json 2>/dev/null | grep -qE '^\{"kld":\{"mean":[0-9.e-]+,"mean_se":.*"ppl":[0-9.]+,.*"positions":[0-9]+,.*\}$' && ok "compare --json" || fail "compare --json" "bad output"
"$run" perplexity -m "$demo" -f "$tmp/text" -c 64 --json 2>/dev/null | grep -qE '^\{"ppl":[0-9.e+]+,' && ok "perplexity --json" || fail "perplexity --json" "bad output"
task="--task tests/data/tasks/mmlu_facts.jsonl --examples tests/data/tasks/mmlu_examples.jsonl --shots 1"
# shellcheck disable=SC2086 # split on purpose
answers() { "$run" eval -m "$demo" $task --json "$@" 2>/dev/null; }
first=$(answers -t 1)
case $first in *'"log_p":['*) ok "eval --json" ;; *) fail "eval --json" "$first" ;; esac
for t in 2 3; do equal "the same answers with $t threads" "$first" "$(answers -t $t)"; done
equal "info --json is the header" 1 "$("$run" info -m "$demo" --json | grep -c '"tensors":\[')"
expect "verify an intact file" 0 '' "$run" verify -m "$demo"
equal "help goes to stdout" 0 "$("$run" --help | grep -q 'qinsrun -m MODEL'; echo $?)"

expect "empty prompt" 2 'prompt is empty' "$run" -m "$demo" -p ""
expect "empty standard input" 2 'prompt is empty' "$run" -m "$demo"
expect "no model" 2 'use -m MODEL' "$run" -p hello
expect "unknown option" 2 'is not an option' "$run" -m "$demo" --frobnicate
expect "missing value" 2 'needs a value' "$run" -m
expect "not a number" 2 'takes a whole number' "$run" -m "$demo" -p x -n many
expect "two prompts" 2 'already given' "$run" -m "$demo" -p x -p y
expect "missing prompt file" 2 'cannot open.*No such file' "$run" -m "$demo" -f "$tmp/nothing"
expect "missing prompt file after another part" 2 'cannot open.*No such file' "$run" -m "$demo" -p hello -f "$tmp/nothing"
expect "missing file" 3 'cannot open.*No such file' "$run" -m "$tmp/nothing.qins" -p hello
expect "not a .qins file" 3 'not a .qins file' "$run" -m README.md -p hello
mkdir "$tmp/empty"
expect "directory without config" 3 'config.json' "$run" -m "$tmp/empty" -p hello
size=$(stat -c %s "$demo")
head -c $((size - 1)) "$demo" >"$tmp/cut.qins"
expect "truncated file" 3 'cut off' "$run" -m "$tmp/cut.qins" -p hello
head -c 100 "$demo" >"$tmp/cut.qins"
expect "file cut off in its header" 3 'cut off' "$run" -m "$tmp/cut.qins" -p hello
cp "$demo" "$tmp/bad.qins"
printf '\377' | dd of="$tmp/bad.qins" bs=1 seek=$((size - 1)) conv=notrunc 2>/dev/null
expect "a damaged weight" 3 'damaged' "$run" verify -m "$tmp/bad.qins"
expect "context overflow by the prompt" 4 '[0-9]+ tokens of prompt and 1 to generate do not fit into the context of 4' "$run" -m "$demo" -p "$question" -c 4
expect "context overflow by -n" 4 'do not fit into the context of' "$run" -m "$demo" -p "$question" -n 100000
expect "more context than the model has" 4 'more than this model' "$run" -m "$demo" -p hello -c 1000000

"$run" -m "$demo" -p "$question" <&- >/dev/null 2>"$tmp/err"; equal "closed stdin does not matter with -p" 0 $?
"$run" -m "$demo" <&- >/dev/null 2>"$tmp/err"; equal "closed stdin and no prompt" 2 $?
grep -q 'cannot read standard input' "$tmp/err" && ok "closed stdin is said" || fail "closed stdin is said" "$(cat "$tmp/err")"
"$run" -m "$demo" -p "$question" >&- 2>"$tmp/err"; equal "closed stdout" 1 $?
grep -q 'cannot write to standard output' "$tmp/err" && ok "closed stdout is said" || fail "closed stdout is said" "$(cat "$tmp/err")"
for arguments in "--help" "--version" "tokenize -m $demo -p x" "score -m $demo --ids $tmp/ids" "info -m $demo" "verify -m $demo" \
    "perplexity -m $demo -f $tmp/text -c 64" "compare -m $demo --ref $demo -f $tmp/text -c 64" \
    "eval -m $demo --task tests/data/tasks/arc_animals.jsonl"; do
    # shellcheck disable=SC2086 # split on purpose
    "$run" $arguments >&- 2>"$tmp/err"; equal "closed stdout: ${arguments%% -m*}" 1 $?
    grep -q 'cannot write to standard output' "$tmp/err" || fail "closed stdout is said: ${arguments%% -m*}" "$(cat "$tmp/err")"
done
if [ -w /dev/full ]; then
    "$run" -m "$demo" -p "$question" >/dev/full 2>"$tmp/err"; equal "full disk" 1 $?
    "$run" tokenize -m "$demo" -p "$question" >/dev/full 2>"$tmp/err"; equal "full disk with tokenize" 1 $?
fi
"$run" -m "$demo" -p 'Tell me a story.' --ids "$tmp/ids" >/dev/null 2>&1; equal "prompt given twice" 2 $?
timeout --preserve-status -s INT 1 "$run" chat -m "$demo" < <(sleep 3) >/dev/null 2>&1; equal "chat interrupted while it waits for input" 130 $?
timeout --preserve-status -s INT 1 "$run" -m "$demo" < <(sleep 3) >/dev/null 2>&1; equal "interrupted while it waits for the prompt" 130 $?
for _ in $(seq 3000); do cat "$tmp/ids"; done >"$tmp/many_ids"
/usr/bin/env python3 -c 'import struct,sys; sys.stdout.buffer.write(b"".join(struct.pack("<i", int(x)) for x in sys.stdin.read().split()))' <"$tmp/many_ids" >"$tmp/ids.i32" 2>/dev/null || : >"$tmp/ids.i32"
if [ -s "$tmp/ids.i32" ]; then
    timeout --preserve-status -s INT -k 20 0.5 "$run" perplexity -m "$demo" --ids-file "$tmp/ids.i32" -c 512 -t 1 >/dev/null 2>&1
    equal "interrupted while it computes" 130 $?
fi
mkfifo "$tmp/pipe"
expect "a pipe as a model" 3 'not a regular file' timeout 10 "$run" -m "$tmp/pipe" -p hello
expect "raw ids for a run" 2 'no meaning for "run"' "$run" -m "$demo" --ids-file "$tmp/ids"
expect "a prompt for chat" 2 'no meaning for "chat"' "$run" chat -m "$demo" -p hello
expect "--json for a server" 2 '--json has no meaning for "serve"' "$run" serve -m "$demo" --json --port 0
expect "--json for a batch" 2 '--json has no meaning for "batch"' "$run" batch -m "$demo" --json
expect "ids and --raw" 2 '--raw has no meaning' "$run" -m "$demo" --ids "$tmp/ids" --raw
expect "a command after the options" 2 'the command comes first' "$run" -m "$demo" chat
expect "score of nothing" 2 'needs --ids' "$run" score -m "$demo"
expect "vocabularies that differ" 2 'cannot be compared' "$run" compare -m "$demo" --ref tests/data/tiny/tied-bf16 -f "$tmp/text" -c 32
for _ in $(seq 60); do echo "$question"; done | "$run" chat -m "$demo" >/dev/null 2>"$tmp/err"; equal "a piped chat that outgrows its context" 4 $?
equal "a NUL in a message is text" 2 "$(printf 'And\0 of Italy?\nHello\n' | "$run" chat -m "$demo" -n 1 2>/dev/null | wc -l)"
equal "tokenize --decode --json" '{"text":"Hi"}' "$("$run" tokenize -m "$demo" --decode --json -p "$("$run" tokenize -m "$demo" -p Hi 2>/dev/null)" 2>/dev/null)"
expect "no tokens: no rate" 0 'prompt [0-9]+ tokens, 0.0 tok/s; reply 0' "$run" -m "$demo" -p "$question" -n 0
exit $failed
