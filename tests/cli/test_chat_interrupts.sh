#!/usr/bin/env bash
# Ctrl-C in qinsrun chat, at every moment: nothing is lost and the terminal is restored. Usage: test_chat_interrupts.sh
# BUILD_DIR
. "$(dirname "$0")/terminal.sh"

start "$run" chat -m "$demo" -q
appears 1 '^> *$'
keys -l "half a message"
keys C-c
seen "in the line: it is cleared" 1 '^> half a message\^C$'
appears 1 '^> *$'
keys C-c
seen "on an empty line: it says how to leave" 1 '^Ctrl-C again, Ctrl-D or /exit ends the chat'
say "$question"
seen "the chat goes on" 1 '^The capital of France is Paris.$'
appears 2 '^> *$'
keys C-c
seen "after a message it says so again" 2 '^Ctrl-C again'
keys C-c
ended "twice" 130

start "$run" chat -m "$demo" -q
appears 1 '^> *$'
say '"""'
say "one"
keys C-c
appears 1 '^> *$'
say "$question"
seen "within a message of several lines: it is dropped" 1 '^The capital of France is Paris.$'
say /exit
ended "/exit" 0

start "$run" chat -m "$demo" -q
appears 1 '^> *$'
kill -TERM "$(terminal list-panes -t chat -F '#{pane_pid}' | xargs -I{} pgrep -P {} qinsrun)"
ended "SIGTERM at the prompt" 130

# A signal that is ignored from the start stays so.
(trap '' INT TERM; "$run" -m "$demo" -p "Tell me a story." -n 400 >"$tmp/reply" 2>/dev/null & pid=$!
 kill -INT $pid; kill -TERM $pid; wait $pid; echo $? >"$tmp/code")
equal "SIGINT and SIGTERM, if ignored from the start, end nothing" 0 "$(cat "$tmp/code")"

# A model that takes its time: the demo under valgrind.
if ! valgrind -q "$run" --version >/dev/null 2>&1; then
    echo "skip - Ctrl-C during a reply: valgrind is missing or cannot run this build"
    exit $failed
fi
start valgrind -q "$run" chat -m "$demo" --cpu scalar -t 1 -n 30
appears 1 '^> *$'
say "Tell me a story."
appears 1 '^[A-Z]'
keys C-c
seen "during a reply: it is reported, and the chat goes on" 1 'tok/s, .*, stopped$'
say "/save $tmp/stopped"
seen "the turn is kept" 1 '^qinsrun: 1 turn saved'
reply=$(sed -n '3s/.*"content":"\(.*\)"}/\1/p' "$tmp/stopped")
equal "the written part of the reply is kept" 1 "$(screen | sed 's/\^C//' | grep -c "^$reply")" # terminals show ^C
say "/system $(seq 120 | xargs)" # so /regen begins with a long prompt
appears 1 'the system message is set; the conversation is kept'
say /regen
seen "/regen of greedy decoding says why it repeats" 1 'decoding is greedy, so the reply would be the same'
keys C-c
seen "during /regen before the first token" 1 'stopped before the reply began; the previous one is kept'
say "/save $tmp/stopped"
appears 2 '^qinsrun: 1 turn saved'
equal "nothing is lost" "$reply" "$(sed -n '4s/.*"content":"\(.*\)"}/\1/p' "$tmp/stopped")"
say /clear
say "/system $(seq 120 -1 1 | xargs)" # another one, of which nothing is in the cache
appears 2 'the system message is set'
say "What?"
appears 1 '^> What\?$'
left_to_signals
keys C-c
seen "during a prompt" 1 'stopped before the reply began; the message is removed'
keys C-d
ended "Ctrl-D" 0
exit $failed
