#!/usr/bin/env bash
# File systems and machines that lack optional features: permissions, fsync, shared mappings, /proc; model files that
# shrink while in use; links as the output; disks that fail late; many processors; figures of --plan when memory is
# short. Usage: test_machines.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert
machine=$tmp/machine.so
plain=$("$run" -m "$demo" -p "$question" 2>/dev/null)

# on NAME=VALUE... -- COMMAND...: runs on a machine of machine.c.
on() {
    local settings=()
    while [ "$1" != -- ]; do settings+=("$1"); shift; done
    shift
    env LD_PRELOAD="$machine" "${settings[@]}" "$@"
}

# --- a model file that shrinks ---
shrink() { # NAME COMMAND...: "$tmp/m.qins" is cut off between two messages of a chat
    local name=$1
    shift
    "$convert" tests/data/demo -o "$tmp/m.qins" --type f32 --quiet
    rm -f "$tmp/in" && mkfifo "$tmp/in"
    "$@" <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
    exec 7>"$tmp/in"
    printf 'hi\n' >&7
    for _ in $(seq 100); do [ -s "$tmp/out" ] && break; sleep 0.1; done
    truncate -s 65536 "$tmp/m.qins"
    (trap '' PIPE && printf 'hi\n' >&7) 2>/dev/null # it may have noticed already, and ended
    exec 7>&-
    wait $!
    equal "$name: the exit code" 3 $?
    equal "$name: the message" "qinsrun: $tmp/m.qins was changed or cut off while in use, or can no longer be read" "$(cat "$tmp/err")"
}
shrink "a file that shrinks" "$run" chat -m "$tmp/m.qins" -q -n 3 -t 1
shrink "a file that shrinks under several threads" "$run" chat -m "$tmp/m.qins" -q -n 3 -t 3
cp "$demo" "$tmp/m.qins" # not over the file that the next test maps

# --- links as the output ---
mkdir "$tmp/far"
"$convert" tests/data/demo -o "$tmp/far/old.qins" --type f32 --quiet
ln -s far/old.qins "$tmp/link.qins"
"$convert" tests/data/demo -o "$tmp/link.qins" --quiet
[ -L "$tmp/link.qins" ] && ok "a link stays a link" || fail "a link stays a link" "$(ls -l "$tmp/link.qins")"
cmp -s "$demo" "$tmp/far/old.qins" && ok "the file that it leads to is written" || fail "the file that it leads to is written" "$(ls -l "$tmp/far")"
ln -s "$tmp/far/new.qins" "$tmp/far/one" && ln -s far/one "$tmp/two.qins"
"$convert" tests/data/demo -o "$tmp/two.qins" --quiet
cmp -s "$demo" "$tmp/far/new.qins" && ok "links to links to no file yet" || fail "links to links to no file yet" "$(ls -l "$tmp/far")"
ln -s nowhere/new.qins "$tmp/lost.qins"
expect "a link into no folder" 1 'cannot create a file in the folder .*/nowhere' "$convert" tests/data/demo -o "$tmp/lost.qins" --quiet
ln -s round.qins "$tmp/round.qins"
expect "a link to itself" 1 'symbolic links' "$convert" tests/data/demo -o "$tmp/round.qins" --quiet
equal "nothing unfinished is left" "" "$(find "$tmp" -name '*.unfinished')"

# --- machines that refuse ---
if ! ${CC:-cc} -shared -fPIC -o "$machine" tests/cli/machine.c -ldl 2>"$tmp/err" || ! on -- "$run" --version >/dev/null 2>&1; then
    echo "skip - machines that refuse: no library can be loaded before this build's"
    exit $failed
fi
for what in fchmod fsync "fchmod fsync"; do
    on QINS_REFUSE="$what" -- "$convert" tests/data/demo -o "$tmp/n.qins" --quiet 2>"$tmp/err"
    equal "conversion without $what" "0 " "$? $(cat "$tmp/err")"
    cmp -s "$demo" "$tmp/n.qins" && ok "the same file without $what" || fail "the same file without $what" "it differs"
done
expect "a failing disk is reported" 1 'cannot write .*/n.qins: Input/output error' on QINS_REFUSE=disk -- "$convert" tests/data/demo -o "$tmp/n.qins" --quiet
"$convert" "$demo" -o "$tmp/folder" --quiet && "$convert" "$demo" -o "$tmp/graph.onnx" --quiet
expect "a folder that fails once its files have names" 1 'cannot write the folder .*: Input/output error' on QINS_REFUSE=folders -- "$convert" "$demo" -o "$tmp/same" --quiet
grep -q 'same/model.safetensors is complete, but may be lost' "$tmp/err" && diff -r "$tmp/folder" "$tmp/same" && ok "they are whole, and it says so" || fail "they are whole, and it says so" "$(cat "$tmp/err")"
expect "the same with an ONNX model" 1 'same.onnx is complete, but may be lost' on QINS_REFUSE=folders -- "$convert" "$demo" -o "$tmp/same.onnx" --quiet
cmp -s "$tmp/graph.onnx.data" "$tmp/same.onnx.data" && ok "which is whole" || fail "which is whole" "$(ls "$tmp")"
mkdir -p "$tmp/blocked/tokenizer.json" && echo old >"$tmp/blocked/model.safetensors"
expect "a file that cannot get its name" 1 'older output is incomplete: .*blocked/model.safetensors is gone' "$convert" "$demo" -o "$tmp/blocked" --force --quiet
equal "takes those away that could" "tokenizer.json" "$(ls -A "$tmp/blocked")"
expect "or tells which remain" 1 'blocked/config.json remains, but is unusable' on QINS_REFUSE=removals -- "$convert" "$demo" -o "$tmp/blocked" --force --quiet
rm -f "$tmp"/blocked/.*.unfinished # that could not be removed either
if [ -e /usr/lib/"$(uname -m)"-linux-gnu/libmicrohttpd.so.12 ]; then
    expect "a host for whose address there is no memory" 1 'host localhost: .*emory' on QINS_REFUSE=memory -- "$run" serve -m "$demo" --host localhost --port 0
    expect "a host whose address cannot be looked up" 1 'host localhost: Too many open files' on QINS_REFUSE=names -- "$run" serve -m "$demo" --host localhost --port 0
fi
equal "without shared mappings" "$plain" "$(on QINS_REFUSE=shared -- "$run" -m "$demo" -p "$question" 2>/dev/null)"
equal "without mappings of files" "$plain" "$(on QINS_REFUSE=mappings -- "$run" -m "$demo" -p "$question" 2>/dev/null)"
head -c 100000 "$demo" >"$tmp/cut.qins"
expect "a file that is cut off, without mappings" 3 'was written with' on QINS_REFUSE=mappings -- "$run" -m "$tmp/cut.qins" -p hi
shrink "a file that shrinks, without shared mappings" on QINS_REFUSE=shared -- "$run" chat -m "$tmp/m.qins" -q -n 3 -t 1

# --- machines without /proc and /sys, or with other numbers there ---
mkdir -p "$tmp/none" "$tmp/small/proc" "$tmp/tiny/proc"
equal "without /proc" "$plain" "$(on QINS_ROOT="$tmp/none" -- "$run" -m "$demo" -p "$question" 2>/dev/null)"
plan() { on "$1" -- "$run" --plan "${@:2}"; }
grep -q '^at most .* MiB; the system does not report the available memory$' <<<"$(plan QINS_ROOT="$tmp/none" -m "$demo")" && ok "a plan without /proc" ||
    fail "a plan without /proc" "$(plan QINS_ROOT="$tmp/none" -m "$demo")"
case $(plan QINS_ROOT="$tmp/none" -m "$demo" --json) in
*'"available_bytes":null,'*) ok "a plan without /proc in JSON" ;;
*) fail "a plan without /proc in JSON" "$(plan QINS_ROOT="$tmp/none" -m "$demo" --json)" ;;
esac
case $(on QINS_ROOT="$tmp/none" -- "$run" -m "$demo" -p hi -n 1 --json 2>/dev/null) in
*'"peak_mib":0,'*) fail "peak memory without /proc" "0" ;;
*'"peak_mib":'*) ok "peak memory without /proc" ;;
*) fail "peak memory without /proc" "none" ;;
esac

"$convert" tests/data/demo -o "$tmp/wide.qins" --type f32 --quiet
# judged NAME: the plan on standard input claims to fit only if its numbers do, and its rows add up.
judged() {
    if awk '/^(weights|KV cache|buffers|program)/ { for (i = 2; i <= NF; i++) if ($i == "MiB") sum += $(i - 1) }
            /^at most/ { total = $3; for (i = 4; i <= NF; i++) if ($i ~ /^MiB/ && $(i - 1) ~ /^[0-9.]+$/ && i > 4) available = $(i - 1); fits = /fit/ }
            END { exit !(total > 0 && total - sum < 0.3 && sum - total < 0.3 && (available == 0 || (total <= available) == fits)) }' "$tmp/plan"
    then ok "$1"; else fail "$1" "$(cat "$tmp/plan")"; fi
}
for kib in 4000 6000 6500 7000 7500 8000 9000 20000; do
    echo "MemAvailable: $kib kB" >"$tmp/small/proc/meminfo"
    plan QINS_ROOT="$tmp/small" -m "$tmp/wide.qins" -t 1 >"$tmp/plan" 2>&1
    judged "a plan with $kib KiB available"
    plan QINS_ROOT="$tmp/small" -m "$tmp/wide.qins" -t 1 -c 500 >"$tmp/plan" 2>&1
    judged "a plan with $kib KiB available, -c 500"
done
equal "2000 processors" "threads   2000 of 2000 cores, 2000 processors" "$(plan QINS_PROCESSORS=2000 -m "$demo" | grep ^threads | cut -d, -f 1,2)"
equal "8192 processors" "threads   8192 of 8192 cores, 8192 processors" "$(plan QINS_PROCESSORS=8192 -m "$demo" | grep ^threads | cut -d, -f 1,2)"
exit $failed
