#!/usr/bin/env bash
# qinsrun chat from a pipe: messages of several lines, commands, what a turn costs. Usage: test_chat.sh BUILD_DIR
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
grep -q '1 turns, 25 of 512 tokens of context' "$tmp/err" && ok "/stats counts" || fail "/stats counts" "$(cat "$tmp/err")"
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
replies "/read puts a file in front" "$with_file" "/read $tmp/note\n$question\n" --ids-out -n 8

# A mistake in a script ends it.
refused() { # NAME TEXT LINES
    # shellcheck disable=SC2059
    printf "$3" | "$run" chat -m "$demo" >/dev/null 2>"$tmp/err"
    equal "$1" "2 1" "$? $(grep -c -- "$2" "$tmp/err")"
}
replies "an unknown command does not end it" "$paris" "/nosuch thing\n$question\n"
equal "an unknown command is told" 1 "$(grep -c 'there is no /nosuch' "$tmp/err")"
"$run" -m "$demo" -p '"""What' -n 4 --newline >"$tmp/plain" 2>/dev/null # as they are: the same as single runs
"$run" -m "$demo" -p '\section\' -n 4 --newline >>"$tmp/plain" 2>/dev/null
"$run" -m "$demo" -p '/help' -n 4 --newline >>"$tmp/plain" 2>/dev/null
for line in '"""What' '\section\' '/help'; do
    printf '%s\n' "$line" | "$run" chat -m "$demo" --lines -n 4 2>/dev/null
done | cmp -s - "$tmp/plain" && ok "--lines: data is no command" || fail "--lines: data is no command" "$(cat "$tmp/plain")"
refused "/undo of nothing" 'no message yet' '/undo\n'
refused "/regen of nothing" 'no message yet' '/regen\n'
refused "/read without a file" '/read takes a FILE' '/read\n'
refused "/read of a missing file" 'missing' '/read /missing\n'
refused "/quit with more behind it" '/quit takes nothing after it' '/quit now\n'
printf '/etc/hosts\n /help\n' | "$run" chat -m "$demo" -n 1 --stats json >/dev/null 2>"$tmp/err"
equal "a path, and a command behind a space, are messages" 2 "$(grep -c computed_tokens "$tmp/err")"
exit $failed
