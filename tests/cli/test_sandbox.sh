#!/usr/bin/env bash
# The programs in their sandbox: it is on, before anything is parsed, and they do their work in it. Refused actions are
# tried by tests/test_sandbox.c. Usage: test_sandbox.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert

# --- the report of -v ---
state=$("$run" -m "$demo" -p a -n 1 -v 2>&1 >/dev/null | sed -n 's/^sandbox  *//p')
[ -n "$state" ] && ok "-v tells the sandbox: $state" || fail "-v tells the sandbox" "nothing"
equal "qinsconvert -v tells the same" "qinsconvert: sandbox: $state" "$("$convert" tests/data/demo -o "$tmp/v.qins" --quiet -v 2>&1)"
equal "--no-sandbox" "off (--no-sandbox)" \
    "$("$run" -m "$demo" -p a -n 1 -v --no-sandbox 2>&1 >/dev/null | sed -n 's/^sandbox  *//p')"
equal "qinsconvert --no-sandbox" "qinsconvert: sandbox: off (--no-sandbox)" \
    "$("$convert" tests/data/demo -o "$tmp/v.qins" --quiet -v --no-sandbox 2>&1)"
equal "the file is the same without a sandbox" "$(sha256sum <"$demo")" "$(sha256sum <"$tmp/v.qins")"
case $state in
*"system calls by seccomp"*) ;;
*) echo "skip - programs in a sandbox: $state" && exit $failed ;;
esac

# --- it is on ---
# confined NAME PROCESS: within ten seconds the process has the marks of a sandbox.
confined() {
    for _ in $(seq 100); do
        grep -q '^Seccomp:[[:space:]]*2' "/proc/$2/status" 2>/dev/null && grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$2/status" && ok "$1" && return
        sleep 0.1
    done
    fail "$1" "$(grep -E 'Seccomp|NoNewPrivs' "/proc/$2/status" 2>&1)"
}
mkfifo "$tmp/pipe" "$tmp/typed"
"$run" -m "$demo" --messages "$tmp/pipe" >"$tmp/reply" 2>/dev/null & process=$!
confined "run" $process
echo '[{"role":"user","content":"What is the capital of France?"}]' >"$tmp/pipe"
wait $process
equal "run, through a pipe that it was told of" "0 The capital of France is Paris." "$? $(cat "$tmp/reply")"

"$run" chat -m "$demo" <"$tmp/typed" >"$tmp/reply" 2>"$tmp/err" & process=$!
exec 3>"$tmp/typed"
confined "chat" $process
printf 'Some text.' >"$tmp/note"
printf '/read %s\n%s\n/save %s\n' "$tmp/note" "$question" "$tmp/saved" >&3
exec 3>&-
wait $process
equal "chat, with its commands" 0 $?
equal "/read and /save" 3 "$(grep -cE '^\[|"content":"Some text.\\n\\nWhat is|"role":"assistant"' "$tmp/saved")"

if [ -e /usr/lib/"$(uname -m)"-linux-gnu/libmicrohttpd.so.12 ] && command -v curl >/dev/null; then
    : >"$tmp/log"
    "$run" serve -m "$demo" --unix "$tmp/socket" 2>"$tmp/log" & process=$!
    for _ in $(seq 300); do grep -q 'listening at' "$tmp/log" && break; sleep 0.1; done
    confined "serve" $process
    equal "serve answers" 200 "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$tmp/socket" http://localhost/v1/models)"
    kill -TERM $process
    wait $process
    equal "serve ends, and its socket goes" "0 no" "$? $([ -e "$tmp/socket" ] && echo yes || echo no)"
else
    echo "skip - serve in a sandbox: libmicrohttpd or curl is missing"
fi

"$convert" tests/data/demo -o "$tmp/killed.qins" --calibrate "$tmp/pipe" --quiet 2>"$tmp/err" & process=$!
confined "convert" $process
kill -KILL $process
wait $process 2>/dev/null
for _ in $(seq 50); do [ -z "$(find "$tmp" -name 'killed*')" ] && break; sleep 0.1; done
equal "a conversion that is killed leaves no file" "" "$(find "$tmp" -name 'killed*')"
"$convert" tests/data/demo -o "$tmp/killed.qins" --calibrate "$tmp/pipe" --quiet 2>"$tmp/err" & process=$!
confined "convert" $process
exec 3>"$tmp/pipe" # the program waits here for the text: a signal before it has opened the pipe would not end its waiting
kill -TERM $process # SIGINT is ignored in the background
cat tests/data/demo/held_out.txt >&3
exec 3>&-
wait $process
equal "nor does one that is interrupted" "130 " "$? $(find "$tmp" -name 'killed*')"

# --- all commands work in it ---
text=tests/data/demo/held_out.txt
echo '1 2 3' >"$tmp/ids"
task=tests/data/tasks/arc_animals.jsonl
works() { expect "$1 works" 0 "" "$run" "${@:2}"; }
works run -m "$demo" -p a -n 4
works "run of a folder" -m tests/data/demo -p a -n 4
works "run by BLAS" -m "$demo" -p a -n 4 --matmul sgemm
works "run of many threads" -m "$demo" -p a -n 4 -t 16
works plan -m "$demo" --plan
works "plan of a folder" -m tests/data/demo --plan
works tokenize tokenize -m "$demo" -p a
works score score -m "$demo" --ids "$tmp/ids"
works perplexity perplexity -m "$demo" -f "$text" --max-windows 1
works compare compare -m "$demo" --ref tests/data/demo -f "$text" --max-windows 1
works eval eval -m "$demo" --task "$task"
works "eval with a reference" eval -m "$demo" --task "$task" --ref tests/data/demo
works bench bench -m "$demo" -p 16 -n 4 -r 1
works info info -m "$demo"
works verify verify -m "$demo"
printf '{"messages":[{"role":"user","content":"%s"}]}\n' "$question" >"$tmp/requests"
"$run" batch -m "$demo" <"$tmp/requests" >"$tmp/reply" 2>"$tmp/err"
equal "batch works" "0 1" "$? $(grep -c Paris "$tmp/reply")"
expect "a file that descriptors lead to" 0 "" "$run" -m "$demo" -n 2 -f <(echo "Hello")
expect "calibration works" 0 "" "$convert" tests/data/demo -o "$tmp/c.qins" --calibrate default --calibrate-tokens 64 -t 4
expect "the way back works" 0 "" "$convert" "$demo" -o "$tmp/folder"
expect "a dry run works" 0 "" "$convert" tests/data/demo --dry-run
printf 'QINS' >"$tmp/bad.qins"
expect "a bad file on the way back" 3 "" "$convert" "$tmp/bad.qins" -o "$tmp/nothing"
equal "leaves no folder" no "$([ -e "$tmp/nothing" ] && echo yes || echo no)"

# A cache of Hugging Face's hub: all of a snapshot's files are links to elsewhere.
mkdir -p "$tmp/hub/snapshots/main" "$tmp/hub/blobs"
for file in tests/data/demo/*; do
    [ -f "$file" ] || continue
    cp "$file" "$tmp/hub/blobs/" && ln -s "../../blobs/${file##*/}" "$tmp/hub/snapshots/main/${file##*/}"
done
expect "a folder of links works" 0 "" "$convert" "$tmp/hub/snapshots/main" -o "$tmp/links.qins"
expect "a run of a folder of links works" 0 "" "$run" -m "$tmp/hub/snapshots/main" -p a -n 1

# --- and before anything is parsed ---
if ! strace -o /dev/null true 2>/dev/null; then
    echo "skip - the sandbox comes first: strace is missing or may not trace"
    exit $failed
fi
# A program's actions in order: L, S: Landlock and a filter come into force; M: the model is opened; T: a thread starts.
order() {
    strace -f -o "$tmp/trace" -e trace=landlock_restrict_self,seccomp,open,openat,clone,clone3 "$@" >/dev/null 2>&1 </dev/null
    sed -nE -e '/^[0-9]+ +landlock_restrict_self\(.* = 0/s/.*/L/p' -e '/seccomp\(SECCOMP_SET_MODE_FILTER.* = 0/s/.*/S/p' \
        -e '/O_PATH|ENOENT/d' -e '/O_RDONLY.*O_NONBLOCK.*= [0-9]/{/O_DIRECTORY/d;s/.*/M/p}' -e 's/.*\/config\.json", O_RDONLY.*= [0-9].*/M/p' -e '/clone.*CLONE_THREAD.* = [1-9]/s/.*/T/p' "$tmp/trace" | tr -d '\n' | sed -E 's/T+/T/g'
}
case $state in "files by Landlock, "*) files=L ;; *) files= ;; esac
comes_first() { equal "$1: the order of sandbox, model and threads" "$2" "$(order "${@:3}")"; }
comes_first run "${files}SMTS" "$run" -m "$demo" -p a -n 2 -t 2
comes_first chat "${files}SMTS" "$run" chat -m "$demo" -t 2
comes_first perplexity "${files}SMTS" "$run" perplexity -m "$demo" -f "$text" --max-windows 1 -t 2
comes_first score "${files}SMTS" "$run" score -m "$demo" --ids "$tmp/ids" -t 2
comes_first bench "${files}SMTS" "$run" bench -m "$demo" -p 16 -n 4 -r 1 -t 2
comes_first verify "${files}SMTS" "$run" verify -m "$demo" -t 2
comes_first compare "${files}SMMTS" "$run" compare -m "$demo" --ref "$demo" -f "$text" --max-windows 1 -t 2
comes_first eval "${files}SMTS" "$run" eval -m "$demo" --task "$task" -t 2
comes_first batch "${files}SMTS" "$run" batch -m "$demo" -t 2
comes_first tokenize "${files}SM" "$run" tokenize -m "$demo" -p a
comes_first info "${files}SM" "$run" info -m "$demo"
comes_first plan "${files}SM" "$run" -m "$demo" --plan
# A conversion's threads do not depend on what it reads, so none can be started by then. M: config.json, then the weights.
comes_first "qinsconvert, back" "${files}STSM" "$convert" "$demo" -o "$tmp/back" -t 2
comes_first "qinsconvert, to ONNX" "${files}STSM" "$convert" "$demo" -o "$tmp/back.onnx" -t 2
comes_first qinsconvert "${files}STSMM" "$convert" tests/data/demo -o "$tmp/first.qins" -t 2
comes_first "qinsconvert --dry-run" "${files}STSMM" "$convert" tests/data/demo --dry-run -t 2
comes_first "qinsconvert --calibrate" "${files}STSMM" "$convert" tests/data/demo -o "$tmp/calibrated.qins" --calibrate default --calibrate-tokens 64 -t 2
comes_first "qinsconvert --plan-bits" "${files}STSMM" "$convert" tests/data/demo -o "$tmp/planned.qins" --plan-bits 6 -t 2
exit $failed
