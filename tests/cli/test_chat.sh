#!/usr/bin/env bash
# qinsrun chat from a pipe: messages of several lines, commands, the cost of a turn. Usage: test_chat.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
paris="The capital of France is Paris."

# replies NAME EXPECTED LINES [OPTION...]: the replies to the lines (printf's escapes) on stdout, exit code 0
replies() {
    local name=$1 expected=$2 lines=$3 got
    shift 3
    # shellcheck disable=SC2059 # the lines are the format
    got=$(printf "$lines" | "$run" chat -m "$demo" "$@" 2>"$tmp/err")
    equal "$name" "0 $expected" "$? $got"
}
# computed: the tokens that each turn computed, from --stats json
computed() { grep -oE '"computed_tokens":[0-9]+' "$tmp/err" | cut -d: -f2 | xargs; }

replies "a turn" "$paris" "$question\n"
replies "the end of input ends the message, too" "$paris" "$question"
two_lines=$("$run" -m "$demo" -p $'What is the capital\nof France?' 2>/dev/null) # another question to this model
replies "the lines between quotes" "$two_lines" '"""What is the capital\nof France?"""\n'
replies "quotes on lines of their own" "$two_lines" '"""\nWhat is the capital\nof France?\n"""\n'
replies "a line that goes on" "$two_lines" 'What is the capital\\\nof France?\n'
replies "quotes that nothing closes" "$two_lines" '"""What is the capital\nof France?'
replies "empty lines are no messages" "$paris" "\n\n$question\n\n"

replies "each turn computes its own tokens" "$paris
$paris" "$question\n$question\n" --stats json
equal "each turn computes its own tokens: how many" "12 13" "$(computed)" # the second: <|end|> of the first reply, too
replies "/regen computes nothing but the last token" "$paris
$paris" "$question\n/regen\n" --stats json
equal "/regen: how many" "12 1" "$(computed)"
replies "/undo takes a turn back" "$paris
$paris" "$question\n/undo\n$question\n" --stats json
equal "/undo: the cache keeps what is the same" "12 1" "$(computed)"
replies "/clear forgets the conversation" "$paris
$paris" "$question\n/clear\n$question\n" --stats json
replies "/quit ends" "$paris" "$question\n/quit\n$question\n"
replies "/stats" "$paris" "$question\n/stats\n"
grep -q '1 turn; the next one begins after 25 of 512 tokens of context' "$tmp/err" && ok "/stats counts" || fail "/stats counts" "$(cat "$tmp/err")"
replies "/help" "" "/help\n"
for command in help clear system read save load set stats undo regen quit; do
    grep -q "^/$command " "$tmp/err" || fail "/help lists /$command" "$(cat "$tmp/err")"
done

# A system message and a file are the conversation's text: as a run with the same text.
with_system=$("$run" -m "$demo" -p "$question" --system "Be brief." -n 8 --ids-out 2>/dev/null)
replies "/system sets the system message" "$with_system" "/system Be brief.\n$question\n" --ids-out -n 8
replies "--system" "$with_system" "$question\n" --system "Be brief." --ids-out -n 8
printf 'Some text.' >"$tmp/note"
with_file=$(printf 'Some text.\n\n%s' "$question" | "$run" -m "$demo" -n 8 --ids-out 2>/dev/null)
replies "/read prepends a file" "$with_file" "/read $tmp/note\n$question\n" --ids-out -n 8

replies "/read of a name in quotes" "$with_file" "/read \"$tmp/note\" \n$question\n" --ids-out -n 8
mkdir "$tmp/home" && cp "$tmp/note" "$tmp/home/my note"
HOME=$tmp/home replies "/read of a file in the home folder" "$with_file" "/read ~/my note\n$question\n" --ids-out -n 8
printf '\xEF\xBB\xBFSome text.' >"$tmp/bom"
replies "/read: a byte order mark is not text" "$with_file" "/read $tmp/bom\n$question\n" --ids-out -n 8
printf 'a\0b' >"$tmp/binary"

# Line ends of other systems, and byte order marks of editors.
replies "CR LF ends a line" "$paris" "$question\r\n/quit\r\n$question\r\n"
replies "a byte order mark is not text" "$paris" "\xEF\xBB\xBF$question\n"
printf '\xEF\xBB\xBFone\r\ntwo\r\n' >"$tmp/dos" && printf 'one\ntwo\n' >"$tmp/unix"
equal "--file: the same" "$("$run" -m "$demo" -f "$tmp/unix" -n 8 2>/dev/null)" "$("$run" -m "$demo" -f "$tmp/dos" -n 8 2>/dev/null)"
equal "--raw: bytes as they are" 2 "$("$run" -m "$demo" -f "$tmp/dos" --raw -n 0 --verbose-prompt 2>&1 | grep -c '<0x0D>')"

# A conversation in a file.
printf '%s\n/save %s\n' "$question" "$tmp/saved" | "$run" chat -m "$demo" >/dev/null 2>&1
equal "/save: the file" '[
  {"role":"user","content":"What is the capital of France?"},
  {"role":"assistant","content":"The capital of France is Paris."}
]' "$(cat "$tmp/saved")"
replies "/load goes on with it" "$paris" "/load $tmp/saved\n$question\n" --stats json
equal "/load: all of it is computed" "37" "$(computed)"
head -n 2 "$tmp/saved" | sed '$s/,$//; $a]' >"$tmp/open"
replies "/load replies to a last message of the user" "$paris" "/load $tmp/open\n"
replies "/undo, /clear and /system say what they do" "$paris
$paris" "$question\n/undo\n$question\n/system Be brief.\n/clear\n"
for text in '"What is the capital of France?" and its reply are removed; 0 turns left' \
    'the system message is set; the conversation is kept' '1 turn forgotten; the system message is kept'; do
    grep -q "$text" "$tmp/err" || fail "it says: $text" "$(cat "$tmp/err")"
done
replies "/regen under greedy decoding" "$paris
$paris" "$question\n/regen\n"
grep -q 'decoding is greedy' "$tmp/err" && ok "/regen says why it repeats" || fail "/regen says why it repeats" "$(cat "$tmp/err")"
lines=$(printf 'Tell me a story.\n/regen 1.5\n' | "$run" chat -m "$demo" --seed 1 -n 20 2>/dev/null | sort -u | wc -l)
[ "$lines" -gt 1 ] && ok "/regen with a temperature draws another reply" || fail "/regen with a temperature draws another reply" "$lines"
replies "other names of /quit" "" "/bye\n$question\n"
replies "/exit" "" "/exit\n$question\n"
replies "a line from a pipe may say exit" "$("$run" -m "$demo" -p exit -n 8 2>/dev/null)" "exit\n" -n 8

# A mistake in a script ends it.
refused() { # NAME TEXT LINES
    # shellcheck disable=SC2059
    printf "$3" | "$run" chat -m "$demo" >/dev/null 2>"$tmp/err"
    equal "$1" "2 1" "$? $(grep -c -- "$2" "$tmp/err")"
}
replies "an unknown command does not end it" "$paris" "/nosuch thing\n$question\n"
equal "an unknown command is reported" 1 "$(grep -c '/nosuch is not a command' "$tmp/err")"
"$run" -m "$demo" -p '"""What' -n 4 --newline >"$tmp/plain" 2>/dev/null # as they are: the same as single runs
"$run" -m "$demo" -p '\section\' -n 4 --newline >>"$tmp/plain" 2>/dev/null
"$run" -m "$demo" -p '/help' -n 4 --newline >>"$tmp/plain" 2>/dev/null
for line in '"""What' '\section\' '/help'; do
    printf '%s\n' "$line" | "$run" chat -m "$demo" --lines -n 4 2>/dev/null
done | cmp -s - "$tmp/plain" && ok "--lines: data is not a command" || fail "--lines: data is not a command" "$(cat "$tmp/plain")"
refused "/undo of nothing" 'no message yet' '/undo\n'
refused "/regen of nothing" 'no message yet' '/regen\n'
refused "/read without a file" '/read takes a FILE' '/read\n'
refused "/read of a missing file" 'missing' '/read /missing\n'
refused "/read of a binary file" 'is not UTF-8 text' "/read $tmp/binary\n"
refused "/load of what is not a conversation" 'not valid JSON' "/load $tmp/note\n"
refused "/save over what is not a conversation" 'exists and is not a conversation' "/save $tmp/note\n"
refused "/set of nonsense" 'temp takes a number' "/set temp hot\n"
refused "/set out of range" 'temperature is 200' "/set temp 200\n"
refused "/quit with more after it" '/quit takes no argument' '/quit now\n'
printf '/etc/hosts\n /help\n' | "$run" chat -m "$demo" -n 1 --stats json >/dev/null 2>"$tmp/err"
equal "a path, and a command after a space, are messages" 2 "$(grep -c computed_tokens "$tmp/err")"
exit $failed
