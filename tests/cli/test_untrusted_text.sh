#!/usr/bin/env bash
# Nothing from a file or a model reaches a terminal as a control sequence; pipes get the bytes as they are.
# Usage: test_untrusted_text.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
if ! command -v script >/dev/null; then
    echo "skip - text at a terminal: there is no script"
    exit 0
fi
# The output of a command, whose stdout and stderr are a terminal, in bash's quoting; carriage returns before newlines are
# the terminal's.
at_terminal() { TERM=dumb SHELL=$BASH script -qec "$*" /dev/null </dev/null 2>/dev/null | sed 's/\r$//'; }
# harmless NAME FILE: neither control characters nor C1 ones in UTF-8 but tabs and newlines
harmless() {
    if LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc2-\xf4\x80-\xbf])[\x80-\x9f]' "$2"; then
        fail "$1" "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$2" | head -n 2 | cat -v)"
    else ok "$1"; fi
}
id_of() { printf %s "$1" | "$run" tokenize -m "$demo" --no-special 2>/dev/null; }

# --- replies: the ids of bytes, as a model may generate them ---
# Byte-fallback tokens <0x00> to <0xFF> have consecutive ids.
first=$("$run" -m "$demo" -p x -n 1 --verbose-prompt 2>&1 >/dev/null <<<'' | head -n 0; printf '\x01' | "$run" tokenize -m "$demo" --no-special 2>/dev/null)
first=$((${first##* } - 1))
ids() { local b; for b in "$@"; do printf '%d ' $((first + b)); done; }
text=(0x41 0x1b 0x5b 0x32 0x4a 0x07 0x09 0x0a 0xc2 0x9b 0x32 0x4a 0x7f 0x0d 0x42 0xc3 0xa9)
ids "${text[@]}" >"$tmp/ids"
"$run" tokenize -m "$demo" --decode --ids "$tmp/ids" >"$tmp/pipe" 2>/dev/null
printf 'A\x1b[2J\x07\t\n\xc2\x9b2J\x7f\rB\xc3\xa9\n' | cmp -s - "$tmp/pipe" && ok "a pipe gets the bytes" || fail "a pipe gets the bytes" "$(od -c "$tmp/pipe" | head -n 3)"
at_terminal "$run" tokenize -m "$demo" --decode --ids "$tmp/ids" >"$tmp/shown"
harmless "decoded ids at a terminal" "$tmp/shown"
equal "tabs and newlines pass, the rest is shown" 'A\x1b[2J\x07	|\x9b2J\x7f\rBé' "$(paste -sd'|' "$tmp/shown")"
at_terminal "$run" tokenize -m "$demo" --decode --json --ids "$tmp/ids" >"$tmp/shown"
harmless "the same as JSON" "$tmp/shown"
equal "which says the same" "$("$run" tokenize -m "$demo" --decode --json --ids "$tmp/ids" 2>/dev/null)" "$(cat "$tmp/shown")"

# --- a model that says them: its tokenizer has exchanged ids ---
if command -v jq >/dev/null; then
    cp -r tests/data/demo "$tmp/hf"
    read -r -a said <<<"$("$run" -m "$demo" -p "$question" --ids-out 2>/dev/null)"
    swap() { # ID BYTE
        jq --argjson a "$1" --argjson b $((first + $2)) '.model.vocab |= with_entries(if .value == $a then .value = $b elif .value == $b then .value = $a else . end)' \
            "$tmp/hf/tokenizer.json" >"$tmp/swapped" && cp "$tmp/swapped" "$tmp/hf/tokenizer.json"
    }
    n=${#said[@]}
    swap "${said[n - 2]}" 0x1b
    swap "${said[n - 4]}" 0xc2 # a C1 character from two tokens
    swap "${said[n - 3]}" 0x9b
    "$build/qinsconvert" "$tmp/hf" -o "$tmp/evil.qins" --quiet 2>/dev/null
    printf 'the ids of a question' | "$run" tokenize -m "$demo" --no-special >/dev/null 2>&1
    printf '<|user|>\n%s<|end|>\n<|assistant|>\n' "$question" | "$run" tokenize -m "$demo" >"$tmp/prompt" 2>/dev/null
    "$run" -m "$tmp/evil.qins" --ids "$tmp/prompt" >"$tmp/pipe" 2>/dev/null
    grep -q $'\x1b' "$tmp/pipe" && grep -q $'\xc2\x9b' "$tmp/pipe" && ok "a reply has control characters" || fail "a reply has control characters" "$(od -c "$tmp/pipe")"
    at_terminal "$run" -m "$tmp/evil.qins" --ids "$tmp/prompt" >"$tmp/shown"
    harmless "the reply at a terminal" "$tmp/shown"
    grep -qF '\x9b' "$tmp/shown" && grep -qF '\x1b' "$tmp/shown" && ok "they are shown" || fail "they are shown" "$(cat "$tmp/shown")"
    for options in "--json" "--json --logprobs 3" "--verbose-prompt" "-v" "--stats json"; do
        at_terminal "$run" -m "$tmp/evil.qins" --ids "$tmp/prompt" "$options" >"$tmp/shown"
        harmless "the reply with $options" "$tmp/shown"
    done
    # The server's JSON is UTF-8 all the same, and log-probabilities tell the bytes.
    jq -c '{prompt: [splits(" +") | tonumber], max_tokens: 30, temperature: 0, logprobs: 3}' -R "$tmp/prompt" |
        "$run" batch -m "$tmp/evil.qins" -q >"$tmp/reply"
    iconv -f UTF-8 -t UTF-16 "$tmp/reply" >/dev/null && ok "a server's reply is UTF-8" || fail "a server's reply is UTF-8" "$(cat -v "$tmp/reply")"
    equal "a token that is no text, and its log-probability" 'bytes:\x9b true' "$(jq -r '.choices[0].logprobs |
        (.tokens | index("bytes:\\x9b")) as $i | "\(.tokens[$i]) \(.top_logprobs[$i][.tokens[$i]] == .token_logprobs[$i])"' "$tmp/reply")"
else
    echo "skip - replies: there is no jq"
fi

# --- names, messages, tables ---
evil=$'x\e]0;title\a\e[31m\xc2\x9b2J\nqinsrun: done'
mkdir "$tmp/$evil"
cp -r tests/data/demo/. "$tmp/$evil"
sed -i 's/"Phi3ForCausalLM"/"Phi\\u001b[2J\\u009bForCausalLM"/' "$tmp/hf/config.json"
shown_by() { # NAME COMMAND...: quoted for the terminal's shell
    local name=$1
    shift
    at_terminal "$(printf '%q ' "$@")" >"$tmp/shown"
    [ -s "$tmp/shown" ] || fail "$name" "no output"
    harmless "$name" "$tmp/shown"
}
shown_by "an architecture" "$build/qinsconvert" "$tmp/hf" -o "$tmp/o.qins"
shown_by "a folder's name" "$build/qinsconvert" "$tmp/$evil" -o "$tmp/$evil.qins"
[ -e "$tmp/$evil.qins" ] && ok "it is converted all the same" || fail "it is converted all the same" "$(cat -v "$tmp/shown")"
shown_by "a plan" "$build/qinsconvert" "$tmp/$evil" --dry-run
for command in "info" "info --json" "verify" "--plan" "-p hi -n 1 -v" "tokenize -p hi"; do
    # shellcheck disable=SC2086 # words
    shown_by "qinsrun $command" "$run" $command -m "$tmp/$evil.qins"
done
shown_by "qinsrun bench" "$run" bench -p 4 -n 1 -r 1 -m "$tmp/$evil.qins" # its meter knows that such a terminal is dumb
printf 'not a model' >"$tmp/$evil"_
for command in info verify "-p hi" "chat"; do
    # shellcheck disable=SC2086
    shown_by "qinsrun $command of no model" "$run" $command -m "$tmp/$evil"_
    shown_by "qinsrun $command of nothing" "$run" $command -m "$tmp/$evil"/x/y
done
shown_by "an option" "$run" --thre$'\e[2J'ds 1
shown_by "a choice" "$run" -m "$demo" --cpu $'\e[2J'
shown_by "a prompt" "$run" -m "$demo" -p $'\e[2J' -n 1 --verbose-prompt
exit $failed
