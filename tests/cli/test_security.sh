#!/usr/bin/env bash
# Hostile files that no advisory is about: cut off, too long, or with code in them. Those of known attacks are in
# test_cve_*.sh. Usage: test_security.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

# --- a file that is cut off, or goes on ---
size=$(stat -c %s "$demo")
for n in 0 1 63 64 65 $((size / 2)) $((size - 1)); do
    head -c "$n" "$demo" >"$tmp/cut.qins"
    expect "cut off after $n bytes" 3 "cut.qins" "$run" info -m "$tmp/cut.qins"
done
{ cat "$demo" && printf x; } >"$tmp/long.qins"
expect "one byte more" 3 "long.qins" "$run" info -m "$tmp/long.qins"

# --- code in a model file: templates are not executed, and pickles are not read ---
mkdir "$tmp/pickle" && cp tests/data/demo/*.json "$tmp/pickle/" && printf 'PK\3\4' >"$tmp/pickle/pytorch_model.bin"
expect "weights as a pickle" 3 "only safetensors are read" "$build/qinsconvert" "$tmp/pickle" -o "$tmp/pickle.qins"
exit $failed
