#!/usr/bin/env bash
# CVE-2026-7482 ("Bleeding Llama", GHSA-x8qc-fggm-mpqg, Ollama): quantization believed a tensor's shape and offset without
# looking at the file's length, read on into the heap, and wrote other users' secrets into the new model. Here the bytes of
# each tensor must be those of its shape, and lie in the file. Usage: test_cve_2026_7482.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "skip - Bleeding Llama: there is no $python"; exit 0; }

# bleed NAME STATEMENT: the demo's checkpoint after a Python statement on its first tensor (t) or the one that ends the file
# (last); both programs refuse it, and no output is left.
bleed() {
    rm -rf "$tmp/hf" && mkdir "$tmp/hf" && cp tests/data/demo/*.json "$tmp/hf/"
    "$python" - tests/data/demo/model.safetensors "$tmp/hf/model.safetensors" "$2" <<'P' || { fail "$1" "could not make it"; return; }
import json, struct, sys
data = open(sys.argv[1], "rb").read()
(size,) = struct.unpack_from("<Q", data)
header = json.loads(data[8:8 + size])
names = [n for n in header if n != "__metadata__"]
t, last = header[names[0]], max((header[n] for n in names), key=lambda tensor: tensor["data_offsets"][1])
exec(sys.argv[3])
text = json.dumps(header).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
P
    expect "$1" 3 "safetensors" "$build/qinsconvert" "$tmp/hf" -o "$tmp/o.qins"
    equal "$1: no output is left" no "$([ -e "$tmp/o.qins" ] && echo yes || echo no)"
    expect "$1: a run" 3 "safetensors" "$run" -m "$tmp/hf" -p a -n 1
}
bleed "weights shorter than their shape" 't["data_offsets"][1] = t["data_offsets"][0] + 64'
bleed "a shape larger than the weights" 't["shape"][0] *= 1024'
bleed "weights beyond the end of the file" 'last["data_offsets"][1] += 1 << 20'
bleed "a shape and its weights beyond the end" 'last["data_offsets"][1] *= 2; last["shape"][0] *= 1 << 20'
bleed "offsets far away" 't["data_offsets"] = [x + (1 << 40) for x in t["data_offsets"]]'
bleed "a shape whose product wraps around" 't["shape"] = [1 << 32, 1 << 32]'
head -c 4096 tests/data/demo/model.safetensors >"$tmp/hf/model.safetensors"
expect "a file that is cut off" 3 "safetensors" "$build/qinsconvert" "$tmp/hf" -o "$tmp/o.qins"
exit $failed
