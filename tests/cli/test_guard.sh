#!/usr/bin/env bash
# No file of the user's is replaced by accident, and no unfinished file remains, however a program ends.
# Usage: test_guard.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert
shim=$tmp/machine.so
cp -r tests/data/demo "$tmp/hf"
cp -r tests/data/lora "$tmp/adapter"
cp tests/data/demo/calibration.txt "$tmp/notes.txt"
sums() { (cd "$tmp" && find hf adapter notes.txt -type f -exec cksum {} + | sort); }
before=$(sums)
kept() { equal "$1: every file is as before" "$before" "$(sums)"; }

# --- outputs that are files read, by any path or link ---
refuse() { expect "$1" 2 "$2" "$convert" "$tmp/hf" --quiet -o "${@:3}"; }
for name in config.json tokenizer.json model.safetensors; do
    [ -e "$tmp/hf/$name" ] && refuse "a file of the checkpoint: $name" 'is a file of the checkpoint' "$tmp/hf/$name"
done
ln -s hf/model.safetensors "$tmp/soft.qins"
ln "$tmp/hf/model.safetensors" "$tmp/hard.qins"
ln -s hf "$tmp/folder"
refuse "by a symbolic link" 'is a file of the checkpoint' "$tmp/soft.qins"
refuse "by a hard link" 'is a file of the checkpoint' "$tmp/hard.qins"
refuse "by another path" 'is a file of the checkpoint' "$tmp/folder/../hf/./model.safetensors"
refuse "the text for calibration" 'is the text for calibration' "$tmp/notes.txt" --calibrate "$tmp/notes.txt" --calibrate-tokens 64
ln -s notes.txt "$tmp/text.qins"
refuse "the text by a link" 'is the text for calibration' "$tmp/text.qins" --calibrate "$tmp/notes.txt" --calibrate-tokens 64
adapter=$(find "$tmp/adapter" -name adapter_config.json -printf '%h\n' | head -n 1)
refuse "a file of the adapter" 'is a file of the adapter' "$adapter/adapter_config.json" --lora "$adapter"
kept "refusals"

# --- other existing files ---
echo "a diary" >"$tmp/diary.qins"
: >"$tmp/empty"
refuse "a file that is not a .qins file, whatever its name" 'exists and is not a .qins file' "$tmp/diary.qins"
refuse "an empty file" 'exists and is not a .qins file' "$tmp/empty"
equal "it is as before" "a diary" "$(cat "$tmp/diary.qins")"
expect "unless the user insists" 0 '' "$convert" "$tmp/hf" --quiet -o "$tmp/diary.qins" --force
cmp -s "$tmp/diary.qins" "$demo" && ok "then it is replaced" || fail "then it is replaced" "it is not"
expect "a .qins file is replaced" 0 '' "$convert" "$tmp/hf" --quiet -o "$tmp/diary.qins"
head -c 1000 "$demo" >"$tmp/diary.qins"
expect "one that was cut off, too" 0 '' "$convert" "$tmp/hf" --quiet -o "$tmp/diary.qins"
if [ "$(id -u)" != 0 ]; then
    echo "a diary" >"$tmp/secret" && chmod 000 "$tmp/secret"
    expect "a file that cannot be read" 1 'cannot open' "$convert" "$tmp/hf" --quiet -o "$tmp/secret"
fi

# --- folders out of files ---
cp "$demo" "$tmp/m.qins"
mkdir "$tmp/used" && echo mine >"$tmp/used/config.json" && echo notes >"$tmp/used/notes"
expect "a folder in use" 2 'is not empty' "$convert" "$tmp/m.qins" --quiet -o "$tmp/used"
equal "its files are as before" "mine" "$(cat "$tmp/used/config.json")"
expect "the file itself as the folder" 2 'is a .qins file already' "$convert" "$tmp/m.qins" --quiet -o "$tmp/m.qins"
cmp -s "$tmp/m.qins" "$demo" && ok "it is as before" || fail "it is as before" "it is not"
expect "a folder in use, with --force" 0 '' "$convert" "$tmp/m.qins" --quiet -o "$tmp/used" --force
equal "other files stay" "notes config.json generation_config.json model.safetensors notes tokenizer.json tokenizer_config.json" "$(cat "$tmp/used/notes") $(ls "$tmp/used" | xargs)"

# --- conversations ---
chat() { "$run" chat -m "$demo" -q -n 1 -t 1 >/dev/null 2>"$tmp/err"; }
echo '[{"a": 1}, 2]' >"$tmp/data.json"
printf 'hi\n/save %s\n' "$tmp/data.json" | chat
equal "JSON that is no conversation is not replaced" "2 [{\"a\": 1}, 2]" "$? $(cat "$tmp/data.json")"
printf 'hi\n/save %s\n' "$tmp/talk.json" | chat && printf 'hi\nhi\n/save %s\n' "$tmp/talk.json" | chat
equal "a conversation is" "0 4" "$? $(grep -c role "$tmp/talk.json")"
printf 'hi\n/save %s\n' "$tmp/m.qins" | chat
equal "a model is not" "2" "$?"
cmp -s "$tmp/m.qins" "$demo" && ok "it is as before" || fail "it is as before" "it is not"

# --- permissions ---
mode() { stat -c %a "$1"; }
chmod 600 "$tmp/talk.json"
printf 'hi\n/save %s\n' "$tmp/talk.json" | chat
equal "a private conversation stays private" "0 600" "$? $(mode "$tmp/talk.json")"
cp "$demo" "$tmp/private.qins" && chmod 600 "$tmp/private.qins" && ln -s private.qins "$tmp/to_private.qins"
expect "a private model is replaced" 0 '' "$convert" "$tmp/hf" --quiet -o "$tmp/to_private.qins"
equal "and stays private" 600 "$(mode "$tmp/private.qins")"
chmod 600 "$tmp/used/config.json" && chmod 664 "$tmp/used/model.safetensors"
(umask 022 && "$convert" "$tmp/m.qins" --quiet -o "$tmp/used" --force)
equal "as do files of a folder" "600 664" "$(mode "$tmp/used/config.json") $(mode "$tmp/used/model.safetensors")"
rm -f "$tmp/new.json"
printf 'hi\n/save %s\n' "$tmp/new.json" | (umask 027 && chat)
equal "a new file has what the mask leaves" 640 "$(mode "$tmp/new.json")"

# --- programs that are killed, on file systems with and without files that have no name ---
${CC:-cc} -shared -fPIC -o "$shim" tests/cli/machine.c -ldl 2>"$tmp/err" && LD_PRELOAD=$shim "$run" --version >/dev/null 2>&1 || shim=
unfinished() { find "$tmp/kill" -name '.*.unfinished'; }
killed() { # NAME REFUSALS
    local i pid
    rm -rf "$tmp/kill" && mkdir "$tmp/kill"
    for i in 1 2 3 4 5 6 7 8; do
        LD_PRELOAD=$shim QINS_REFUSE=$2 "$convert" "$tmp/hf" --quiet -o "$tmp/kill/m.qins" -t 1 &
        pid=$!
        sleep "0.0$((i * 3 % 10))"
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
    done
    [ -e "$tmp/kill/m.qins" ] && { cmp -s "$tmp/kill/m.qins" "$demo" && ok "$1: what is there is whole" || fail "$1: what is there is whole" "it is not"; }
    [ -n "$2" ] || equal "$1: nothing is left" "" "$(unfinished)"
    LD_PRELOAD=$shim QINS_REFUSE=$2 "$convert" "$tmp/hf" --quiet -o "$tmp/kill/n.qins"
    cmp -s "$tmp/kill/n.qins" "$demo" && ok "$1: the next run" || fail "$1: the next run" "another file"
    equal "$1: nothing is left by then" "" "$(unfinished)"
} 2>/dev/null
killed "killed" ""
if [ -n "$shim" ]; then
    killed "killed, without files that have no name" unnamed
    killed "killed, where such files cannot be named" linkat
    # A file that another program still writes is kept.
    LD_PRELOAD=$shim QINS_REFUSE=unnamed "$convert" "$tmp/hf" --quiet -o "$tmp/kill/slow.qins" --calibrate default --calibrate-tokens 2048 -t 1 2>/dev/null &
    pid=$!
    for _ in $(seq 3000); do [ -n "$(unfinished)" ] && break; sleep 0.01; done
    "$convert" "$tmp/hf" --quiet -o "$tmp/kill/n.qins"
    [ -n "$(unfinished)" ] && ok "a file that somebody writes is kept" || fail "a file that somebody writes is kept" "it is gone"
    kill -INT $pid && kill -INT $pid
    wait $pid
    equal "two signals leave nothing" "" "$(unfinished)"

    # The way back, which has several files, and names them in its sandbox.
    export_files="config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json"
    back() { LD_PRELOAD=$shim QINS_REFUSE=$1 exec "$convert" "$demo" --quiet --force -o "$tmp/kill" -t 1; }
    back_until_written() { # one of them, as $pid
        rm -rf "$tmp/kill"
        (back "unnamed progress") & pid=$!
        for _ in $(seq 1000); do grep -q '^State:[[:space:]]*T' "/proc/$pid/status" 2>/dev/null && break; sleep 0.01; done
        equal "$1: its files are unfinished" 5 "$(unfinished | wc -l)"
    }
    back_until_written "an export"
    "$convert" "$tmp/hf" --quiet -o "$tmp/kill/n.qins"
    equal "an export: another output leaves its files alone" 5 "$(unfinished | wc -l)"
    while kill -CONT $pid 2>/dev/null; do sleep 0.01; done
    wait $pid
    equal "an export: it goes on" "0 $export_files" "$? $(ls -A --ignore=n.qins "$tmp/kill" | xargs)"
    back_until_written "a killed export"
    kill -KILL $pid
    wait $pid 2>/dev/null
    (back unnamed)
    equal "a killed export: the next one removes its files" "0 $export_files" "$? $(ls -A "$tmp/kill" | xargs)"
fi
exit $failed
