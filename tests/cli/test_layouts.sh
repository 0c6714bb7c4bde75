#!/usr/bin/env bash
# The demo model as people save it: {q, k, v, gate, up together or apart, as Phi-3, Llama or Mistral} x {what saved it} x
# {dtype}, and {layout} x {what saved it} x {kind of tokenizer}. Each folder gives the weights of the pristine one of its
# dtype, byte for byte. Usage: test_layouts.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert
python=${PYTHON:-python3}
command -v "$python" >/dev/null || { echo "skip - layouts: there is no $python"; exit 0; }

# make FOLDER LAYOUT PREFIX DTYPE: LAYOUT: fused, phi3, llama or mistral; PREFIX: before all names, "-": "model." is missing.
make() {
    "$python" - tests/data/demo "$tmp/$1" "${@:2}" <<'P'
import json, os, shutil, struct, sys
demo, out, layout, prefix, dtype = sys.argv[1:]
os.makedirs(out, exist_ok=True)
for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"): shutil.copy(f"{demo}/{name}", out)
config = json.load(open(f"{demo}/config.json"))
dim = config["hidden_size"] // config["num_attention_heads"]
q, kv, ffn = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim, config["intermediate_size"]
names = {"llama": ("LlamaForCausalLM", "llama"), "mistral": ("MistralForCausalLM", "mistral")}
if layout in names: config["architectures"], config["model_type"] = [names[layout][0]], names[layout][1]
json.dump(config, open(f"{out}/config.json", "w"))

def floats(data, kind):  # exact
    if kind == "F32": return list(struct.unpack(f"<{len(data) // 4}f", data))
    if kind == "F16": return list(struct.unpack(f"<{len(data) // 2}e", data))
    halves = struct.unpack(f"<{len(data) // 2}H", data)
    return list(struct.unpack(f"<{len(halves)}f", struct.pack(f"<{len(halves)}I", *(h << 16 for h in halves))))

def as_dtype(data, kind):
    if kind == dtype: return data
    values = floats(data, kind)
    if dtype == "F32": return struct.pack(f"<{len(values)}f", *values)
    if dtype == "F16": return struct.pack(f"<{len(values)}e", *values)
    bits = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
    return struct.pack(f"<{len(bits)}H", *(b >> 16 for b in bits))  # cut: any BF16 will do

def parts(name):
    if layout == "fused": return None
    if "qkv_proj" in name: return "qkv_proj", (("q_proj", q), ("k_proj", kv), ("v_proj", kv))
    if "gate_up_proj" in name: return "gate_up_proj", (("gate_proj", ffn), ("up_proj", ffn))

def saved(name):
    return name.removeprefix("model.") if prefix == "-" else prefix + name

data = open(f"{demo}/model.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header, data = json.loads(data[8:8 + size]), data[8 + size:]
tensors, blobs, at = {}, [], 0
def put(name, shape, blob):
    global at
    tensors[saved(name)] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(blob)]}
    blobs.append(blob)
    at += len(blob)
for name, tensor in header.items():
    if name == "__metadata__": continue
    first, end = tensor["data_offsets"]
    blob, shape, apart = as_dtype(data[first:end], tensor["dtype"]), tensor["shape"], parts(name)
    if apart is None:
        put(name, shape, blob)
        continue
    row_bytes, row = len(blob) // shape[0], 0
    for part, rows in apart[1]:
        put(name.replace(apart[0], part), [rows, shape[1]], blob[row * row_bytes:(row + rows) * row_bytes])
        row += rows
text = json.dumps(tensors).encode()
open(f"{out}/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
P
}

# weights FOLDER: a line of hashes for each tensor of the converted folder.
weights() {
    "$convert" "$tmp/$1" -o "$tmp/m.qins" -t 1 --quiet 2>"$tmp/err" || { cat "$tmp/err"; return; }
    "$run" info -m "$tmp/m.qins" --json -q | sed 's/.*"tensors"://; s/},{/\n/g' | sed -E 's/"offset":[^,]*,//'
}

for dtype in BF16 F16 F32; do
    make pristine fused "" $dtype
    expected=$(weights pristine)
    [ "$(wc -l <<<"$expected")" -gt 10 ] && ok "$dtype: pristine" || fail "$dtype: pristine" "$expected"
    for layout in fused phi3 llama mistral; do
        for saver in "plain " "torch.compile _orig_mod." "peft base_model.model." "DDP module." "FSDP _fsdp_wrapped_module." "headless -"; do
            make saved $layout "${saver#* }" $dtype
            equal "$dtype, $layout, ${saver%% *}" "$expected" "$(weights saved)"
        done
    done
done
# Other tokenizers change nothing else.
make pristine fused "" BF16
expected=$(weights pristine)
for tokenizer in tests/data/tokenizer_*.json; do
    kind=${tokenizer##*tokenizer_} kind=${kind%.json}
    for how in "fused plain " "llama torch.compile _orig_mod." "mistral headless -"; do
        read -r layout saver prefix <<<"$how"
        make saved "$layout" "$prefix" BF16
        cp "$tokenizer" "$tmp/saved/tokenizer.json"
        rm "$tmp/saved/tokenizer_config.json"
        equal "$kind, $layout, $saver" "$expected" "$(weights saved)"
    done
done
make wrong llama "transformer." BF16
expect "an unknown prefix" 3 'begin with "transformer.model.", where "model." is expected' "$convert" "$tmp/wrong" -o "$tmp/m.qins" --quiet
equal "one line says so, and one counts it" 2 "$(wc -l <"$tmp/err")"
make saved llama "_orig_mod." BF16
equal "an answer" "$("$run" -m "$demo" -q -n 40 -p "$question")" "$("$run" -m "$tmp/saved" -q -n 40 -p "$question" 2>/dev/null)"
exit $failed
