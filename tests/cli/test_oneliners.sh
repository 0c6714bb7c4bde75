#!/usr/bin/env bash
# Command lines as users write them: with pipes, loops, here-documents, xargs, jq and parallel, their output compared.
# Usage: test_oneliners.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
PATH=$(realpath "$build"):$PATH
export QINS_MODEL=$demo
paris="The capital of France is Paris."
cd "$tmp" || exit 1
quiet() { qinsrun -q "$@" 2>"$tmp/err"; }
lacks() { command -v "$1" >/dev/null || { echo "skip - $2: there is no $1"; return 0; } && return 1; }
printf '%s\n%s\n' "$question" "$question" >questions

# The parts of a prompt, joined: the same as the text written out.
printf 'Some notes.\n' >notes
printf 'More of them.\n' >./more
summary=$(quiet -n 6 -p $'Summarize:\n\nSome notes.')
equal "a prompt and a file on standard input" "$summary" "$(quiet -n 6 -p 'Summarize:' <notes)"
equal "a prompt and a pipe" "$summary" "$(cat notes | qinsrun -q -n 6 -p 'Summarize:')"
equal "a prompt and a here-string" "$summary" "$(qinsrun -q -n 6 -p 'Summarize:' <<<'Some notes.')"
equal "a prompt and an empty pipe" "$paris" "$(true | quiet -p "$question")"
equal "a pipe that stays open" "$paris" "$(sleep 3 | qinsrun -p "$question" 2>"$tmp/err")"
equal "a pipe that stays open: it says what it waits for" 1 "$(grep -c 'waiting for standard input' "$tmp/err")"
equal "several files" "$(quiet -n 6 -p $'Summarize:\n\nSome notes.\n\nMore of them.')" "$(quiet -n 6 -p 'Summarize:' -f notes -f more)"
equal "-f - among files" "$(quiet -n 6 -p $'More of them.\n\nSome notes.')" "$(quiet -n 6 -f more -f - <notes)"
equal "a substitution" "$paris" "$(quiet -p "$(head -n 1 questions)")"
equal "a process substitution" "$paris" "$(quiet -f <(head -n 1 questions))"

# Loops: each round takes its line and leaves the others.
equal "while read, from a file" "$paris
$paris" "$(while read -r line; do quiet --newline -p "$line"; done <questions)"
equal "while read, from a pipe" "$paris
$paris" "$(cat questions | while read -r line; do quiet --newline -p "$line"; done)"
equal "for" "$paris$paris" "$(for _ in 1 2; do quiet -p "$question"; done)"
equal "xargs, a line each" "$paris
$paris" "$(xargs -d '\n' -I{} qinsrun -q --newline -p {} <questions)"
equal "xargs -0" "$paris
$paris" "$(tr '\n' '\0' <questions | xargs -0 -n 1 qinsrun -q -t 1 --newline -p)"
lacks parallel "parallel" || equal "parallel" "$paris
$paris" "$(parallel --will-cite -j 2 qinsrun -q -t 1 --newline -p {} <questions)"

# Other programs after it.
equal "tee" "$paris $paris" "$(quiet -p "$question" | tee copy) $(cat copy)"
equal "wc" 1 "$(quiet --newline -p "$question" | wc -l)"
equal "&&" "$paris done" "$(quiet -p "$question" && echo " done")"
equal "||" "failed" "$(quiet -m missing.qins -p x || echo failed)"
equal "timeout" "$paris" "$(timeout 60 qinsrun -q -p "$question" </dev/null)"
equal "in the background" "$paris" "$(quiet -p "$question" >later & wait; cat later)"
if ! lacks jq "jq"; then
    equal "jq -r .text" "$paris" "$(quiet --json -p "$question" | jq -r .text)"
    equal "jq writes the messages" "$paris" \
        "$(jq -n --arg q "$question" '[{role: "user", content: $q}]' | quiet --messages -)"
    equal "jq joins what --stream brings" "$paris" "$(quiet --json --stream -p "$question" | jq -rj 'select(.finish_reason == null) | .text')"
    equal "jq: the texts of --logprobs" "The" "$(quiet --json --logprobs 2 -n 1 -p "$question" | jq -r '.logprobs[0].text' | tr -d ' ')"
    equal "jq: their bytes" "true" "$(quiet --json --logprobs 2 -n 1 -p "$question" | jq '.logprobs[0] | (.text | utf8bytelength) == (.bytes | length)')"
fi
equal "--messages: a whole conversation" "$(printf '%s\n%s\n' "$question" "$question" | qinsrun chat -q | tail -n 1)" \
    "$(printf '[{"role":"user","content":"%s"},{"role":"assistant","content":"%s"},{"role":"user","content":"%s"}]' "$question" "$paris" "$question" | quiet --messages -)"
printf '[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]' >ends.json
expect "--messages that end with a reply" 2 'last message must be the user' qinsrun --messages ends.json
printf '{"role":"user"}' >object.json
expect "--messages without an array" 2 'does not contain an array of messages' qinsrun --messages object.json
exit $failed
