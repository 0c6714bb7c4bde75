#!/usr/bin/env bash
# Wrong inputs are identified: files passed instead of a checkpoint or a model file, files missing from a folder,
# and names in files that a terminal would obey. Usage: test_hints.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert
python=${PYTHON:-python3}
source=$(realpath tests/data/demo)

# refused NAME TEXT FOLDER: by both programs, with exit code 3.
refused() {
    expect "qinsconvert: $1" 3 "$2" "$convert" "$3" -o "$tmp/m.qins"
    expect "qinsrun: $1" 3 "$2" "$run" -m "$3" -p hi
}
folder() { # NAME FILE...: a folder with copies of the demo's files
    mkdir -p "$tmp/$1"
    for file in "${@:2}"; do cp "$source/$file" "$tmp/$1"; done
}

# --- folders ---
folder lora config.json tokenizer.json
echo '{"peft_type": "LORA"}' >"$tmp/lora/adapter_config.json"
touch "$tmp/lora/adapter_model.safetensors"
refused "a LoRA adapter" 'lora has adapter_config.json: this is a LoRA adapter; give its base model.s folder' "$tmp/lora"
rm "$tmp/lora/config.json"
refused "a LoRA adapter without config.json" 'this is a LoRA adapter' "$tmp/lora"
folder merged config.json tokenizer.json tokenizer_config.json model.safetensors
touch "$tmp/merged/adapter_config.json"
expect "a merged model with its adapter's configuration" 0 '' "$convert" "$tmp/merged" -o "$tmp/m.qins" --quiet
folder cache/models--me--demo/snapshots/abc123 config.json tokenizer.json tokenizer_config.json model.safetensors
mkdir "$tmp/cache/models--me--demo/blobs"
refused "a model's folder in the hub's cache" 'give the folder in it: .*/models--me--demo/snapshots/abc123' "$tmp/cache/models--me--demo"
mkdir -p "$tmp/cache/models--me--demo/refs" "$tmp/cache/models--me--demo/snapshots/zzz"
refused "a model's folder in the cache: the first snapshot" 'snapshots/abc123' "$tmp/cache/models--me--demo"
folder cache/models--me--demo/snapshots/xyz789 config.json
printf xyz789 >"$tmp/cache/models--me--demo/refs/main"
refused "a model's folder in the cache: the main snapshot" 'snapshots/xyz789' "$tmp/cache/models--me--demo"
refused "the folder of snapshots" 'a folder in it has one; give that: .*/snapshots/xyz789' "$tmp/cache/models--me--demo/snapshots"
rm "$tmp/cache/models--me--demo/refs/main" && mkfifo "$tmp/cache/models--me--demo/refs/main"
expect "a model's folder in the cache: the name of the main snapshot is a pipe" 3 'snapshots/abc123' timeout 30 "$convert" "$tmp/cache/models--me--demo" -o "$tmp/m.qins" --quiet
rm -r "$tmp/cache/models--me--demo/snapshots/xyz789" "$tmp/cache/models--me--demo/snapshots/zzz"
refused "the hub's cache" "has models--me--demo: this is the cache of Hugging Face's hub" "$tmp/cache"
refused "a part of a model's folder in the cache" 'give the folder .*/blobs/../snapshots/REVISION' "$tmp/cache/models--me--demo/blobs"
mkdir "$tmp/home" && cp -r "$tmp/cache" "$tmp/home/hub"
refused "the folder of the hub's cache" 'give a model.s folder in it: .*/home/hub/models--me--demo/snapshots/REVISION' "$tmp/home"
folder pickles
touch "$tmp/pickles/pytorch_model.bin"
refused "pickles without a config.json" 'has pytorch_model.bin: only safetensors are read' "$tmp/pickles"
expect "a snapshot of the hub's cache" 0 '' "$convert" "$tmp/cache/models--me--demo/snapshots/abc123" -o "$tmp/m.qins" --quiet
for n in 500 1000; do
    folder run/checkpoint-$n config.json
    mkdir -p "$tmp/adapters/checkpoint-$n"
    touch "$tmp/adapters/checkpoint-$n/adapter_config.json"
done
refused "the folder of a training run" 'a folder in it has one; give that: .*/run/checkpoint-1000' "$tmp/run"
expect "the folder of a training run of adapters" 3 'a folder in it has one; give that: .*/adapters/checkpoint-1000' \
    "$convert" "$source" --lora "$tmp/adapters" -o "$tmp/m.qins"
folder gguf
touch "$tmp/gguf/phi-q4.gguf"
refused "a folder with a GGUF file" 'has phi-q4.gguf: a GGUF file' "$tmp/gguf"
folder converted
cp "$demo" "$tmp/converted/phi.qins"
refused "a folder with a converted model" 'has phi.qins: a model that is converted already' "$tmp/converted"
for names in "model-00002-of-00003.safetensors: shards, but not" "pytorch_model-00001-of-00004.bin: only safetensors" \
    "consolidated.00.pth: only safetensors" "weights.safetensors: weights must be in model.safetensors"; do
    rm -rf "$tmp/bare"
    folder bare config.json
    touch "$tmp/bare/${names%%:*}"
    refused "${names%%:*} only" "has $names" "$tmp/bare"
done

# --- files ---
(printf 'GGUF\3\0\0\0'; head -c 4096 /dev/zero) >"$tmp/model.gguf"
refused "a GGUF file" 'is a GGUF file of llama.cpp' "$tmp/model.gguf"
(printf '\x80\x02}q'; head -c 4096 /dev/zero) >"$tmp/model.pkl"
refused "a pickle" 'is a Python pickle' "$tmp/model.pkl"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4132663424\n' >"$tmp/pointer.qins"
refused "a git-lfs pointer" 'is a git-lfs pointer' "$tmp/pointer.qins"
expect "weights instead of a model file" 3 'safetensors weights; give the folder' "$run" -m "$source/model.safetensors" -p hi
refused "a name on the hub" 'hf download microsoft/Phi-3.5-mini-instruct --local-dir Phi-3.5-mini-instruct' microsoft/Phi-3.5-mini-instruct
expect "a missing file is no name on the hub" 3 'cannot open some/model.qins' "$run" -m some/model.qins -p hi

# --- tokenizers and templates ---
folder text config.json generation_config.json tokenizer.json tokenizer_config.json model.safetensors
said() { # NAME TEXT FOLDER: reported, and the folder is converted
    expect "$1" 0 "$2" "$convert" "$3" -o "$tmp/m.qins" --quiet
}
unsaid() { # NAME FOLDER: nothing is reported
    "$convert" "$2" -o "$tmp/m.qins" --quiet 2>"$tmp/err"
    equal "$1" "" "$(cat "$tmp/err")"
}
unsaid "nothing to say of a complete folder" "$tmp/text"
sed -i 's/"eos_token": "<|endoftext|>",/"eos_token": "<|stop|>",/' "$tmp/text/tokenizer_config.json"
said "a token of tokenizer_config.json alone" 'tokenizer_config.json: these tokens take precedence.*"<\|stop\|>" \([0-9]+, new\)$' "$tmp/text"
stop=$("$run" tokenize -m "$tmp/m.qins" -p 'a<|stop|>')
equal "it is in the model" "a<|stop|>" "$("$run" tokenize -m "$tmp/m.qins" --decode -p "$stop")"
equal "it is one token" 2 "$(wc -w <<<"$stop")"
rm "$tmp/text/tokenizer_config.json"
said "no chat template" 'there is no chat template' "$tmp/text"
echo '{{ messages }}' >"$tmp/text/chat_template.jinja"
said "an unknown chat template" 'the chat template is not one that qins knows' "$tmp/text"
rm "$tmp/text/tokenizer.json"
said "no tokenizer" 'there is no tokenizer.json' "$tmp/text"
touch "$tmp/text/tokenizer.model"
said "only a tokenizer.model" 'there is a tokenizer.model, which is not read' "$tmp/text"

# with_rows FOLDER ROWS: the demo model with more rows in its vocabulary, as FP32 zeros.
with_rows() {
    folder "$1" generation_config.json tokenizer.json tokenizer_config.json
    "$python" - "$source" "$tmp/$1" "$2" <<'P'
import json, struct, sys
source, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = json.load(open(f"{source}/config.json"))
config["vocab_size"] = rows
json.dump(config, open(f"{folder}/config.json", "w"))
size = struct.unpack("<Q", open(f"{source}/model.safetensors", "rb").read(8))[0]
header, at = json.loads(open(f"{source}/model.safetensors", "rb").read()[8:8 + size]), 0
header.pop("__metadata__", None)
for name, tensor in header.items():
    if name in ("model.embed_tokens.weight", "lm_head.weight"): tensor["shape"][0] = rows
    n = 4
    for dim in tensor["shape"]: n *= dim
    tensor.update(dtype="F32", data_offsets=[at, at + n])
    at += n
text = json.dumps(header).encode()
open(f"{folder}/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + bytes(at))
P
}
if command -v "$python" >/dev/null; then
    pieces=$("$run" info -m "$demo" | sed -nE 's/^tokenizer  ([0-9]+) ids.*/\1/p')
    with_rows padded $((pieces + 200))
    unsaid "a vocabulary filled up to a round number" "$tmp/padded"
    with_rows extended $((pieces + 1))
    "$python" - "$tmp/extended/tokenizer.json" "$pieces" <<'P'
import json, sys
path, n = sys.argv[1], int(sys.argv[2])
tokenizer = json.load(open(path))
tokenizer["added_tokens"] += [{"id": n + i, "content": text, "special": True} for i, text in enumerate(("[SEP]", "[PAD]"))]
json.dump(tokenizer, open(path, "w"))
P
    said "a token that the model has no row for" "the last 1 of the added tokens have ids beyond the model's vocabulary of $((pieces + 1)) rows" "$tmp/extended"
    equal "its text is encoded without it" "$("$run" tokenize -m "$demo" -p 'a [PAD]')" "$("$run" tokenize -m "$tmp/m.qins" -p 'a [PAD]')"
    with_rows wide 2000
    said "another model's tokenizer" "of the model's 2000 ids have no text in tokenizer.json" "$tmp/wide"
    expect "another model's tokenizer, when opened" 0 "of the model's 2000 ids have no text" "$run" -m "$tmp/m.qins" -p hi -n 1
    expect "another model's tokenizer, when a folder is opened" 0 "of the model's 2000 ids have no text" "$run" -m "$tmp/wide" -p hi -n 1
    "$run" info -m "$tmp/m.qins" -q >/dev/null 2>"$tmp/err" || "$run" -m "$tmp/m.qins" -p hi -n 1 -q >/dev/null 2>"$tmp/err"
    equal "-q does not say so" "" "$(cat "$tmp/err")"

    # --- control characters in names ---
    "$python" - "$source" "$tmp" <<'P'
import json, os, shutil, struct, sys
source, tmp = sys.argv[1:]
def copy(name):
    shutil.copytree(source, f"{tmp}/{name}")
    return f"{tmp}/{name}"
bad = "\x1b]0;t\x07\u009b2J\nqinsconvert: done"
def tensors(folder, edit):
    path = f"{folder}/model.safetensors"
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    edit(header, len(data) - 8 - size)
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
tensors(copy("bad-tensor"), lambda h, n: h.update({bad: {"dtype": "F32", "shape": [0], "data_offsets": [n, n]}}))
tensors(copy("bad-dtype"), lambda h, n: h["lm_head.weight"].update(dtype=bad))
def edit(name, file, **members):
    path = f"{copy(name)}/{file}"
    value = json.load(open(path))
    value.update(members)
    json.dump(value, open(path, "w"))
edit("bad-config", "config.json", architectures=[bad], model_type=bad)
edit("bad-act", "config.json", hidden_act=bad)
edit("bad-tokenizer", "tokenizer.json", version=bad)
folder = copy("bad-index")
os.remove(f"{folder}/model.safetensors")
json.dump({"weight_map": {bad: bad + "/x"}}, open(f"{folder}/model.safetensors.index.json", "w"))
P
    for name in tensor dtype config act tokenizer index; do
        for program in "$convert $tmp/bad-$name -o $tmp/n.qins" "$convert $tmp/bad-$name --dry-run" "$run -m $tmp/bad-$name -p hi"; do
            # shellcheck disable=SC2086 # split on purpose
            $program >"$tmp/out" 2>&1
            equal "bad-$name: the exit code of ${program%% *}" 3 $?
            if grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|^qinsconvert: done' "$tmp/out"; then
                fail "bad-$name: a terminal can show this" "$(cat -v "$tmp/out")"
            elif grep -qE '(\\x|\\u00)1b]0;t(\\x|\\u00)07(\\x|\\u00)9b2J\\nqinsconvert: done' "$tmp/out"; then ok "bad-$name: the name is escaped"
            else fail "bad-$name: the name is escaped" "$(cat -v "$tmp/out")"; fi
        done
    done
else
    echo "skip - tokenizers and names of made-up checkpoints: there is no Python"
fi
exit $failed
