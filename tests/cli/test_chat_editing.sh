#!/usr/bin/env bash
# The line editor of qinsrun chat: typed and pasted text arrives unchanged, and the screen shows it unchanged.
# Usage: test_chat_editing.sh BUILD_DIR
. "$(dirname "$0")/terminal.sh"

chat="$run chat -m $demo -n 2 -q"
saved=0
# sent NAME TEXT: the conversation's only message (TEXT in JSON) is this one; then forget it.
sent() {
    saved=$((saved + 1))
    local file=$tmp/saved$saved i
    say "/save $file"
    for i in $(seq 300); do [ -s "$file" ] && break; sleep 0.1; done
    equal "$1" "  {\"role\":\"user\",\"content\":\"$2\"}," "$(sed -n 2p "$file")"
    say /clear
}
family=$'\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7' # man, woman, girl, joined

mkdir "$tmp/here" "$tmp/here/folder"
echo "Some notes." >"$tmp/here/notes.txt"
cd "$tmp/here" || exit 1

# --- no locale at all: as in containers and over ssh ---
start env -u LANG -u LC_ALL -u LC_CTYPE "$chat"
appears 1 '^> *$'
say "café 日本 $family e"$'\xCC\x81'
sent "without a locale letters arrive" "café 日本 $family e"$'\xCC\x81'
keys -l "one$family"
keys BSpace
say "two"
sent "an emoji of several is deleted as one" "onetwo"
keys -l "日本x"
keys Left Left BSpace C-e
say "y"
sent "the cursor moves by characters" "本xy"

# --- tabs ---
keys -l "not"
keys Tab
say "x"
sent "a tab in a message is a tab" 'not\tx'
keys -l "/read no"
keys Tab
keys Enter
say "What?"
sent "the file that /read takes is completed" 'Some notes.\n\n\nWhat?'
keys -l "/re"
keys Tab
seen "several candidates are listed" 1 '^/regen'
keys C-u

# --- pastes ---
paste_in $'def f():\n\treturn "\\"\n'
keys Enter
sent "several lines are one message, as they are" 'def f():\n\treturn \"\\\"\n'
paste_in $'"""a\nb'
say " c"
sent "quotes in a paste are text" '\"\"\"a\nb c'
paste_in "$(seq 40)"
seen "a large paste is shown short" 1 '^> \[40 lines pasted\]$'
keys Enter
sent "and arrives as it is" "$(seq 40 | paste -sd '|' | sed 's/|/\\n/g')"
paste_in "$(seq 40)"
keys BSpace
say "gone"
sent "a large paste is deleted as one" "gone"
keys -l "first"
keys M-Enter
say "second"
sent "Alt-Enter begins a new line" 'first\nsecond'

# --- keys ---
keys -l "one two three"
keys C-w C-a C-k C-y
say "!"
sent "words and lines are cut and put back" "one two !"
keys -l "lost"
keys C-c
seen "Ctrl-C clears the line" 1 '^> lost\^C$'
say "kept"
sent "Ctrl-C: nothing of it is left" "kept"
say "exit"
ended "exit" 0

# --- history ---
start "$chat"
appears 1 '^> *$'
keys Up Up
seen "lines of earlier sessions come back" 1 '^> /clear$'
keys C-u C-r
keys -l "firs"
seen "Ctrl-R finds them" 1 '^\(search: firs\) first$'
keys Enter
sent "a message of several lines comes back" 'first\nsecond'
equal "the history is the user's only" "600" "$(stat -c %a "$XDG_STATE_HOME/qins/history")"
say /bye
ended "/bye" 0

# --- long lines ---
columns=60 lines=30
start "$chat"
appears 1 '^> *$'
text=
for i in $(seq 40); do text+="word$i "; done
keys -l "$text"
appears 1 'word40'
# shown: the line as the screen has it, joined again; a row ends before the last column
shown() { rows | sed -n '/^> /,$p' | sed 's/^..//' | awk -v width="$1" '{ while (length($0) < width) $0 = $0 " "; printf "%s", $0 }' | sed 's/ *$//'; }
equal "a long line takes several rows" "${text% }" "$(shown 57)"
# shows COLUMNS TEXT: wait for it
shows() {
    local i
    for i in $(seq 100); do [ "$(shown $(($1 - 3)))" = "$2" ] && return; sleep 0.1; done
}
for size in 45 33 80 60; do
    terminal resize-window -t chat -x "$size" -y 30
    shows "$size" "${text% }"
    keys -l "$family"
    appears 1 "$family"
    keys Left BSpace C-e BSpace Space
    shows "$size" "${text% }"
    equal "a long line in a terminal that is $size columns wide now" "${text% }" "$(shown $((size - 3)))"
done
keys C-a
keys -l "The "
keys C-e Enter
sent "a long line arrives as it is" "The $text"
say /exit
ended "/exit" 0

# --- replies ---
columns=20
start "$run chat -m $demo -q"
appears 1 '^> *$'
say "$question"
seen "words of the reply are not broken" 1 '^The capital of$'
seen "the rest of the reply is on the next line" 1 '^France is Paris\.$'
keys C-d
ended "Ctrl-D" 0
exit $failed
