#!/usr/bin/env bash
# The ways in which engines of this field were broken into by model files, each refused: exit code 3, a message that
# names the file, and nothing else happens. Headers are forged with correct hashes. Usage: test_security.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
python=${PYTHON:-python3}
if ! "$python" -c 'import xxhash' 2>/dev/null; then
    echo "skip - forged files: $python has no xxhash"
    exit 0
fi

# forge FILE PATTERN REPLACEMENT: the demo with the first match in its header replaced, everything else as it should be.
forge() {
    "$python" - "$demo" "$@" <<'P'
import re, struct, sys, xxhash
demo, path, pattern, replacement = sys.argv[1:]
data = open(demo, "rb").read()
(size,) = struct.unpack_from("<Q", data, 24)
text, n = re.subn(pattern.encode(), replacement.encode(), data[64:64 + size].rstrip(), count=1)
assert n == 1, pattern
assert len(text) <= size
header = text.ljust(size)
preamble = data[:32] + struct.pack("<Q", xxhash.xxh3_64_intdigest(header)) + data[40:64]
open(path, "wb").write(preamble + header + data[64 + size:])
P
}
# refused NAME PATTERN REPLACEMENT MESSAGE
refused() {
    forge "$tmp/forged.qins" "$2" "$3" || { fail "$1" "could not forge it"; return; }
    expect "$1" 3 "forged.qins.*$4" "$run" info -m "$tmp/forged.qins"
    expect "$1: a run" 3 "forged.qins" "$run" -m "$tmp/forged.qins" -p a -n 1
    expect "$1: the way back" 3 "forged.qins" "$build/qinsconvert" "$tmp/forged.qins" -o "$tmp/back"
}
forge "$tmp/forged.qins" '"max_positions":512' '"max_positions":512'
expect "a forged file without a change is read" 0 "" "$run" info -m "$tmp/forged.qins"

# --- sizes whose product or sum overflows (llama.cpp: CVE-2025-53630, and what bypassed its first mend) ---
refused "a dimension near 2^63" '"vocab_size":832' '"vocab_size":9223372036854775807' vocab_size
refused "a product that is 0 in 64 bits" '"hidden_dim":96,"ffn_dim":192' '"hidden_dim":4294967296,"ffn_dim":4294967296' dim
refused "a tensor's dimensions that are not the configuration's" '"rows":832,"cols":96' '"rows":4294967296,"cols":4294967296' 'shape .* expected'
refused "a tensor's bytes near 2^53" '"bytes":159744' '"bytes":9007199254740992' bytes
refused "a tensor's bytes beyond 2^64" '"bytes":159744' '"bytes":18446744073709711360' bytes
refused "an offset that wraps around" '"offset":20736' '"offset":18446744073709551552' offset
refused "an offset in another tensor" '"offset":180480' '"offset":20736' 'at 20736 found'
refused "a negative size" '"bytes":159744' '"bytes":-64' bytes
refused "a size that is no integer" '"bytes":159744' '"bytes":1.5' bytes
refused "so many layers that the list's size overflows" '"n_layers":5' '"n_layers":288230376151711744' n_layers
refused "the tokenizer beyond the end" '"offset":9216,"bytes":11462' '"offset":9216,"bytes":60000000' 'at 20736 found'
refused "ids of stop tokens beyond the vocabulary" '"stop_ids":.775' '"stop_ids":[2147483647' stop_ids

# --- counts that a loop believes (heads of 0, a rotation wider than a head) ---
refused "no KV heads: a division by 0" '"n_kv_heads":3' '"n_kv_heads":0' n_kv_heads
refused "a rotation wider than a head" '"rope_dim":16' '"rope_dim":4096' rope_dim

# --- weights that are shorter than their shape: memory goes into the output (Ollama's Bleeding Llama) ---
mkdir "$tmp/short" && cp tests/data/demo/*.json "$tmp/short/"
"$python" - tests/data/demo/model.safetensors "$tmp/short/model.safetensors" <<'P'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
(size,) = struct.unpack_from("<Q", data)
header = json.loads(data[8:8 + size])
name = next(n for n in header if n != "__metadata__")
header[name]["data_offsets"][1] = header[name]["data_offsets"][0] + 64
text = json.dumps(header).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
P
expect "weights shorter than their shape" 3 "safetensors" "$build/qinsconvert" "$tmp/short" -o "$tmp/short.qins"
equal "and no output is left" no "$([ -e "$tmp/short.qins" ] && echo yes || echo no)"

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
