#!/usr/bin/env bash
# qinsrun chat as a user sees it: replies, commands, a full context. Usage: test_chat_terminal.sh BUILD_DIR
. "$(dirname "$0")/terminal.sh"

start "$run" -m "$demo"
seen "without a prompt at a terminal, it is a chat" 1 '^qinsrun: demo.qins, .* MB, context of 512 tokens; /help'
appears 1 '^> *$'
say "$question"
seen "a reply" 1 '^The capital of France is Paris.$'
appears 2 '^>'
keys -l "is the capital of Frax"
keys BSpace
keys -l "nce?"
keys C-a
keys -l "What "
keys Enter
seen "editing within the line" 2 '^The capital of France is Paris.$'
appears 3 '^>'
keys Up Enter
seen "history" 3 '^The capital of France is Paris.$'
appears 4 '^>'
say '"""'
seen "a message of several lines asks for more" 1 '^\.\.\.'
say "$question"
say '"""'
seen "a message of several lines" 4 '^The capital of France is Paris.$'
appears 5 '^>'
say /undo
appears 6 '^>'
say /regen
seen "/undo and /regen: the message before is answered again" 5 '^The capital of France is Paris.$'
say /stats
seen "/stats" 1 '3 turns; the next one begins after [0-9]+ of 512 tokens of context'
say /foo
seen "an unknown command is reported and forgiven" 1 '/foo is not a command'
say /help
seen "/help" 1 '^/regen '
say /quit
ended "/quit" 0

start "$run" chat -m "$demo" -c 64
appears 1 '^> *$'
say "$question"
appears 2 '^>'
say "$question"
appears 3 '^>'
say "$question"
seen "a nearly full context is reported" 1 'of 64 tokens of context are used'
say "$question"
seen "a message that does not fit leaves the conversation as it was" 1 'do not fit into the context.* /clear make room'
say /clear
say "$question"
seen "/clear makes room" 3 '^The capital of France is Paris.$'
keys C-d
ended "Ctrl-D" 0


# LongRoPE's switch, at 128 tokens, in the middle of a reply.
columns=60
system=$(seq 25 | xargs)
reply=$("$run" -m "$demo" -p "Tell me a story." --system "$system" -n 60 2>"$tmp/err")
grep -q '^qinsrun: LongRoPE switches to its long factors: computing 129 tokens again' "$tmp/err" ||
    fail "the switch is in the middle of the reply" "$(cat "$tmp/err")"
start "$run" chat -m "$demo" --system "'$system'" -n 60
terminal pipe-pane -t chat "cat >$tmp/raw"
appears 1 '^> *$'
say "Tell me a story."
seen "after a reply: its speed, and how full the context is" 1 '^[0-9.]+ tok/s, 1[0-9][0-9] of 512 tokens of context$'
equal "nothing of the switch is left in the reply" "$(xargs <<<"$reply")" "$(rows | sed -n '/^> Tell/,/tok\/s/p' | sed '1d;$d' | xargs)"
grep -q 'LongRoPE switches to its long factors: computing 129' "$tmp/raw" && ok "the switch is reported" || fail "the switch is reported" "it is not"
say /set
seen "/set lists options" 1 'temp 0, top-k 0, .* n-predict 60$'
say "/set temp 0.7"
seen "/set changes one" 1 'temp is 0.7 from now on'
say "/set temp hot"
seen "/set refuses what is no value" 1 'temp takes a number, not "hot"'
say "/set parameter top_k 5"
seen "/set as in ollama" 1 'top-k is 5 from now on'
say "/set ctx-size 5"
seen "/set names what can be set" 1 'ctx-size cannot be set; these can: temp'
keys C-d
ended "Ctrl-D" 0
exit $failed
