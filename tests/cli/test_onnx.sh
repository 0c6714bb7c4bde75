#!/usr/bin/env bash
# qinsconvert MODEL.qins -o MODEL.onnx: the bytes of every model that onnxruntime has computed as qinsrun does
# (tests/oracle/compare_onnx.py --golden), and its refusals. Usage: test_onnx.sh BUILD_DIR
# PYTHON: an interpreter with onnx and onnxruntime; without them nothing is computed again.
. "$(dirname "$0")/demo.sh"
python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
convert=$build/qinsconvert

# sha256 FILE [FIRST_BYTE]
sha256() { tail -c "+${2-1}" "$1" | sha256sum | cut -d' ' -f1; }

# The model's first two fields are the version of the format and that of the program, which is not compared.
after_versions() { echo $((5 + $(od -An -tu1 -j3 -N1 "$1"))); }

while read -r source type model data; do
    "$convert" "$source" -o "$tmp/model.qins" --type "$type" --quiet && "$convert" "$tmp/model.qins" -o "$tmp/model.onnx" --force --quiet
    equal "$source, $type" "$model $data" "$(sha256 "$tmp/model.onnx" "$(after_versions "$tmp/model.onnx")") $(sha256 "$tmp/model.onnx.data")"
done <tests/data/onnx.txt

expect "over a model that is there" 2 'exists; .*--force' "$convert" "$demo" -o "$tmp/model.onnx"
expect "that is to be replaced" 0 '' "$convert" "$demo" -o "$tmp/model.onnx" --threads 1 --force
mkdir "$tmp/far" "$tmp/near" && ln -s ../far/model.onnx "$tmp/near/link.onnx"
expect "through a link" 0 '' "$convert" "$demo" -o "$tmp/near/link.onnx" --quiet
equal "both files lie where it leads to" "link.onnx model.onnx model.onnx.data" "$(ls "$tmp/near") $(ls "$tmp/far" | xargs)"
equal "and are those of the file there" "$(sha256 "$tmp/model.onnx") $(sha256 "$tmp/model.onnx.data")" "$(sha256 "$tmp/far/model.onnx") $(sha256 "$tmp/far/model.onnx.data")"
expect "a folder" 2 'an ONNX model is made from a .qins file; convert .*demo to one first' "$convert" tests/data/demo -o "$tmp/new.onnx"
expect "types of weights" 2 '--type is not for ONNX' "$convert" "$demo" -o "$tmp/new.onnx" --type bf16
expect "options that are for folders" 2 '--lm-head is for folders' "$convert" "$demo" -o "$tmp/new.onnx" --lm-head qins8
head -c -1 "$demo" >"$tmp/cut.qins"
expect "a file that was cut off" 3 'cut.qins' "$convert" "$tmp/cut.qins" -o "$tmp/new.onnx"
mkdir "$tmp/folder.onnx"
expect "a folder in the way" 2 'is a folder; give the name of a file' "$convert" "$demo" -o "$tmp/folder.onnx"
cp "$demo" "$tmp/own.onnx"
expect "the file itself" 2 'is the file to read .*--force' "$convert" "$tmp/own.onnx" -o "$tmp/own.onnx"
cp "$demo" "$tmp/new.onnx.data"
expect "its data on the file itself" 2 'is the file to read .*--force' "$convert" "$tmp/new.onnx.data" -o "$tmp/new.onnx"
rm "$tmp/new.onnx.data"
expect "no room on the disk" 1 'File too large|No space' bash -c "ulimit -f 100; exec '$convert' '$demo' -o '$tmp/new.onnx'"
equal "nothing is left behind" "model.onnx model.onnx.data own.onnx" "$(cd "$tmp" && ls -d ./*.onnx* | grep -v folder | sed 's,./,,' | xargs)"

if "$python" -c 'import onnx, onnxruntime' 2>/dev/null; then
    if "$python" tests/oracle/compare_onnx.py --build "$build" >"$tmp/figures" 2>&1; then ok "onnxruntime: $(tail -n 1 "$tmp/figures")"
    else fail "onnxruntime" "$(tail -n 3 "$tmp/figures")"; fi
else
    echo "skip - models in onnxruntime: $python has no onnx and onnxruntime"
fi
exit $failed
