# For tests of a program at a terminal, sourced with the build folder as $1: demo.sh, and a terminal that tmux provides.
# Tests wait for texts, never for times.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/demo.sh"
if ! command -v tmux >/dev/null; then
    echo "skip - chat at a terminal: there is no tmux"
    exit 0
fi
# Each session has a server of its own: one that is told to end takes a while, and would take a new session with it.
session=0
export TMUX_TMPDIR=$tmp XDG_STATE_HOME=$tmp/state
columns=150 lines=500
terminal() { tmux -u -L "$session" -f /dev/null "$@"; }
trap 'terminal kill-server 2>/dev/null; rm -rf "$tmp"' EXIT

screen() { terminal capture-pane -p -J -S - -t chat; }
rows() { terminal capture-pane -p -t chat; } # as they are, wrapped lines not joined
keys() { terminal send-keys -t chat "$@" 2>/dev/null; }
paste_in() { terminal set-buffer -- "$1" && terminal paste-buffer -p -t chat; }
# appears COUNT TEXT: wait until TEXT (a regular expression) is on so many lines, half a minute at most.
appears() {
    local text
    for _ in $(seq 300); do
        text=$(screen 2>/dev/null) || return 1
        [ "$(grep -cE -- "$2" <<<"$text")" -ge "$1" ] && return 0
        sleep 0.1
    done
    return 1
}
seen() { # NAME COUNT TEXT
    if appears "$2" "$3"; then ok "$1"; else fail "$1" "no '$3' ($2 times) on: $(screen | grep -v '^$')"; fi
}
# Wait until the line editor has taken the line, so that Ctrl-C is a signal and no key.
left_to_signals() {
    local tty
    tty=$(terminal display-message -p -t chat '#{pane_tty}')
    for _ in $(seq 300); do
        [[ $(stty -a -F "$tty") = *[!-]isig* ]] && return
        sleep 0.1
    done
}
# start COMMAND...: in a new terminal, whose settings are compared after the command.
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
    terminal new-session -d -s chat -x "$columns" -y "$lines" "sh $tmp/session.sh"
}
say() { keys -l "$1" && keys Enter; }
ended() { # NAME CODE
    seen "$1" 1 "exit code $2\$"
    seen "$1: the terminal is restored" 1 'the terminal is as before'
}
