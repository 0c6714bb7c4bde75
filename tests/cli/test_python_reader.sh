#!/usr/bin/env bash
# Files of qinsconvert, read back by the reader that was written only from FORMAT.md, and compared with the
# checkpoint; and damaged files, which it and `qinsrun verify` both refuse. Usage: test_python_reader.sh BUILD_DIR
# PYTHON: the interpreter, python3 by default; with the module xxhash it checks hashes too.
# Slow: a hundred files are read by plain Python.
set -u
case $(basename "$1") in
asan | tsan)
    echo "skip - second reader: the release build's files are read"
    exit 0
    ;;
esac
build=$(cd "$1" && pwd) || exit 1
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
sample= # an intact file to damage

ok() { echo "ok - $1"; }
fail() { echo "FAIL - $1: $2"; failed=1; }
skip() { echo "skip - $1: $2"; }
reader() { "$python" tests/oracle/read_qins.py "$@" >"$tmp/out" 2>"$tmp/err"; }
verify() { "$build/qinsrun" verify -m "$1" >"$tmp/verify" 2>&1; }

# agree HF_DIR OPTION VALUE: convert, read, compare with the checkpoint, verify.
agree() {
    local name="python reader, ${1##*/} $2 $3" file=$tmp/model.qins
    if ! "$build/qinsconvert" "$1" -o "$file" "$2" "$3" --quiet 2>"$tmp/err"; then fail "$name" "$(tail -n 1 "$tmp/err")"
    elif ! reader "$file" --against "$1"; then fail "$name" "$(tail -n 1 "$tmp/err")"
    elif ! verify "$file"; then fail "$name" "the reader accepts it, verify does not: $(tail -n 1 "$tmp/verify")"
    else
        ok "$name"
        [ -n "$sample" ] || { sample=$tmp/sample.qins && cp "$file" "$sample"; }
    fi
}

# flip FILE OFFSET: the lowest bit of one byte; a negative offset counts from the end.
flip() {
    "$python" -c 'import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 1
open(sys.argv[1], "wb").write(data)' "$1" "$2"
}

# refused NAME FILE WANTED [nohash]: by both, the reader saying WANTED (a regular expression); nohash: it cannot know.
refused() {
    local name="$1 is refused" code
    verify "$2"
    code=$?
    if [ $code -eq 3 ]; then ok "verify: $name"; else fail "verify: $name" "exit code $code, expected 3"; fi
    if [ "${4-}" = nohash ]; then skip "python reader: $name" "$python has no module xxhash"; return; fi
    reader "$2"
    code=$?
    if [ $code -ne 1 ]; then fail "python reader: $name" "exit code $code, expected 1"
    elif ! grep -qE -- "$3" "$tmp/err"; then fail "python reader: $name" "no '$3' in: $(tail -n 1 "$tmp/err")"
    else ok "python reader: $name"; fi
}

# payload NAME WANTED FILE TENSOR OFFSET BYTE...: a copy of FILE with these bytes in a tensor, under hashes that agree, is
# refused.
payload() {
    local name=$1 wanted=$2
    shift 2
    if [ -n "$nohash" ]; then skip "python reader: $name is refused" "$python has no module xxhash"; return; fi
    "$python" -c 'import json, struct, sys, xxhash
target, source, name, offset = sys.argv[1:5]
data = bytearray(open(source, "rb").read())
(size,) = struct.unpack_from("<Q", data, 24)
header = json.loads(data[64:64 + size])
(tensor,) = [tensor for tensor in header["tensors"] if tensor["name"] == name]
begin, end = tensor["offset"], tensor["offset"] + tensor["bytes"]
for at, byte in enumerate(sys.argv[5:], begin + int(offset)):
    assert at < end and data[at] != int(byte), "nothing is damaged"
    data[at] = int(byte)
digest = xxhash.xxh3_64_hexdigest(bytes(data[begin:end])).encode()
data[64:64 + size] = data[64:64 + size].replace(tensor["hash"].encode(), digest)
struct.pack_into("<Q", data, 32, xxhash.xxh3_64_intdigest(bytes(data[64:64 + size])))
open(target, "wb").write(data)' "$damaged" "$@" || { fail "python reader: $name" "the file cannot be made"; return; }
    refused "$name" "$damaged" "$wanted"
}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null; then
    skip "python reader" "there is no $python (3.6 or later)"
    exit 0
fi
nohash=
"$python" -c 'import xxhash' 2>/dev/null || { nohash=nohash && skip "python reader, hashes" "$python has no module xxhash"; }

for folder in tests/data/demo tests/data/tiny/*; do
    if [ ! -f "$folder/config.json" ]; then skip "python reader, $folder" "it is not there"; continue; fi
    for type in qins8 qins6 qins5 qins4; do agree "$folder" --type $type; done
    agree "$folder" --type bf16
    agree "$folder" --type f32
    agree "$folder" --lm-head qins8
    agree "$folder" --embedding qins8
done
agree tests/data/demo --calibrate tests/data/demo/calibration.txt

# The demo with tokenizers of other kinds, and one as a fine-tune may leave it.
for kind in gpt2 digits cl100k o200k; do
    mkdir -p "$tmp/$kind" && cp tests/data/demo/{config.json,model.safetensors} "$tmp/$kind"
    cp "tests/data/tokenizer_$kind.json" "$tmp/$kind/tokenizer.json"
    agree "$tmp/$kind" --type qins4
done
mkdir "$tmp/leftovers" && cp tests/data/demo/{config.json,model.safetensors} "$tmp/leftovers"
"$python" -c 'import json, sys
spec = json.load(open(sys.argv[1], encoding="utf-8"))
spec["normalizer"] = None
spec["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
spec["truncation"] = {"direction": "Right", "max_length": 2048, "strategy": "LongestFirst", "stride": 0}
json.dump(spec, open(sys.argv[2], "w"))' tests/data/demo/tokenizer.json "$tmp/leftovers/tokenizer.json"
agree "$tmp/leftovers" --type qins4
if "$build/qinsconvert" "$tmp/leftovers" -o "$tmp/model.qins" 2>&1 | grep -q 'warning: .*tokenizer.json: its setting for truncation is ignored'; then
    ok "python reader, a setting for truncation gives a warning"
else fail "python reader, a setting for truncation gives a warning" "there is none"; fi

if [ -n "$sample" ]; then
    size=$(wc -c <"$sample")
    damaged=$tmp/damaged.qins
    head -c $((size - 1)) "$sample" >"$damaged"
    refused "a file without its last byte" "$damaged" "should have $size bytes"
    head -c 50 "$sample" >"$damaged"
    refused "a file cut off in the preamble" "$damaged" 'preamble'
    { cat "$sample"; printf x; } >"$damaged"
    refused "a file with one more byte" "$damaged" "should have $size bytes"
    cp "$sample" "$damaged"
    flip "$damaged" 8
    refused "a flipped preamble byte" "$damaged" 'version'
    cp "$sample" "$damaged"
    flip "$damaged" 67 # in the name of "config"
    refused "a flipped header byte" "$damaged" 'header'
    cp "$sample" "$damaged"
    flip "$damaged" -1
    refused "a flipped payload byte" "$damaged" 'tensor .*hash' $nohash
    # [384, 96]: 32 bytes of zeros after the scale bytes of 128 columns
    gate_up=model.layers.0.mlp.gate_up_proj.weight
    payload "the first byte after the scales" 'bytes 96 to 128 are not zero' "$sample" $gate_up 96 1
    payload "the last byte after the scales" 'bytes 96 to 128 are not zero' "$sample" $gate_up 127 1
fi
# gate_up_proj is [84, 30]: panels of 1088 bytes, the last with 4 rows; lm_head is [280, 30], its last panel with 8 rows.
odd=$tmp/odd.qins
if [ -n "$sample" ] && "$build/qinsconvert" tests/data/tiny/longrope-odd-f16 -o "$odd" --quiet 2>"$tmp/err"; then
    payload "a subnormal d" 'd is 0x7f$' "$odd" $gate_up 0 127 0
    payload "a negative d" 'd is 0xbf80$' "$odd" $gate_up 0 128 191
    payload "an infinite d" 'd is 0x7f80$' "$odd" $gate_up 0 128 127
    payload "code -128" 'code -128' "$odd" $gate_up 64 128
    payload "a code of column 30" 'a code of the padding' "$odd" $gate_up $((64 + 7 * 64 + 2)) 1
    payload "a scale byte of columns 32 to 63" 'a scale byte of the padding' "$odd" $gate_up 48 1
    payload "d of row 84" 'd of the padding' "$odd" $gate_up $((5 * 1088 + 8)) 128 63
    payload "a scale byte of row 84" 'a scale byte of the padding' "$odd" $gate_up $((5 * 1088 + 32 + 4)) 1
    payload "a code of row 95" 'a code of the padding' "$odd" $gate_up $((6 * 1088 - 1)) 1
    payload "a value of row 280" 'padding after byte' "$odd" lm_head.weight $((17 * 16 * 60 + 16)) 1
    payload "a value of row 287" 'padding after byte' "$odd" lm_head.weight $((18 * 16 * 60 - 1)) 128
fi
exit $failed
