#!/usr/bin/env bash
# qinsrun chat as a person meets it: at a terminal, which tmux provides. Waits for texts, never for times.
# Usage: test_chat_terminal.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
if ! command -v tmux >/dev/null; then
    echo "skip - chat at a terminal: there is no tmux"
    exit 0
fi
# Each session has a server of its own: one that is told to end takes a while, and would take a new session with it.
session=0
export TMUX_TMPDIR=$tmp
terminal() { tmux -L "$session" -f /dev/null "$@"; }
trap 'terminal kill-server 2>/dev/null; rm -rf "$tmp"' EXIT

screen() { terminal capture-pane -p -J -S - -t chat; }
keys() { terminal send-keys -t chat "$@" 2>/dev/null; }
# appears COUNT TEXT: wait until TEXT (a regular expression) is on so many lines, half a minute at most.
appears() {
    local i text
    for i in $(seq 300); do
        text=$(screen 2>/dev/null) || return 1
        [ "$(grep -cE -- "$2" <<<"$text")" -ge "$1" ] && return 0
        sleep 0.1
    done
    return 1
}
seen() { # NAME COUNT TEXT
    if appears "$2" "$3"; then ok "$1"; else fail "$1" "no '$3' ($2 times) on: $(screen | grep -v '^$')"; fi
}
# start COMMAND...: in a new terminal, whose settings are compared behind the command.
start() {
    terminal kill-server 2>/dev/null
    session=$((session + 1))
    cat >"$tmp/session.sh" <<SESSION
trap : INT
before=\$(stty -g)
$*
echo "exit code \$?"
[ "\$before" = "\$(stty -g)" ] && echo "the terminal is as before"
cat
SESSION
    terminal new-session -d -s chat -x 150 -y 500 "sh $tmp/session.sh"
}
say() { keys -l "$1" && keys Enter; }
ended() { # NAME CODE
    seen "$1" 1 "exit code $2\$"
    seen "$1: the terminal is restored" 1 'the terminal is as before'
}

start "$run" -m "$demo"
seen "without a prompt at a terminal, it is a chat" 1 '^Type a message'
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
seen "/stats" 1 '3 turns, [0-9]+ of 512 tokens of context'
say /foo
seen "an unknown command is told and forgiven" 1 'there is no /foo'
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
seen "a context that is nearly full is told of" 1 'of 64 tokens of context are used'
say "$question"
seen "a message that does not fit leaves the conversation as it was" 1 'do not fit into the context.* /clear make room'
say /clear
say "$question"
seen "/clear makes room" 3 '^The capital of France is Paris.$'
keys C-d
ended "Ctrl-D" 0

start "$run" chat -m "$demo"
appears 1 '^> *$'
keys -l "half a message"
keys C-c
ended "Ctrl-C at the prompt" 130

# A model that takes its time: the demo under valgrind.
if ! valgrind -q "$run" --version >/dev/null 2>&1; then
    echo "skip - Ctrl-C during a reply: valgrind is missing or cannot run this build"
    exit $failed
fi
start valgrind -q "$run" chat -m "$demo" --cpu scalar -t 1 -q
appears 1 '^> *$'
say "Tell me a story."
appears 1 '^[A-Z]'
keys C-c
seen "Ctrl-C stops the reply, the chat goes on" 2 '^> *'
say /stats
seen "Ctrl-C: the turn stays" 1 '^qinsrun: 1 turns'
say "Tell me a story."
appears 3 '^[A-Z]'
keys C-c
appears 4 '^> *'
keys C-c
ended "Ctrl-C again" 130
exit $failed
