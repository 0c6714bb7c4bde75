#!/usr/bin/env bash
# qinsconvert MODEL.qins -o HF_DIR: its refusals, and the folder as transformers loads it: log-probabilities against
# qinsrun score. Usage: test_export.sh BUILD_DIR
# PYTHON: an interpreter with the modules of tests/oracle/requirements.txt; without them that part is skipped.
. "$(dirname "$0")/demo.sh"
python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
convert=$build/qinsconvert
"$convert" tests/data/demo -o "$tmp/model.qins" --type qins4 --quiet

expect "a folder from a file" 0 '' "$convert" "$tmp/model.qins" -o "$tmp/folder"
equal "its files" "config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json" "$(ls "$tmp/folder" | xargs)"
expect "it converts again" 0 '' "$convert" "$tmp/folder" -o "$tmp/again.qins" --type f32 --quiet
expect "a folder in the way" 2 'is not empty' "$convert" "$tmp/model.qins" -o "$tmp/folder"
expect "a name that a folder should not have" 2 'is a .qins file already; give -o a folder' "$convert" "$tmp/model.qins" -o "$tmp/other.qins"
[ -e "$tmp/other.qins" ] && fail "nothing is made" "it is there" || ok "nothing is made"
expect "a stream" 2 'cannot be a stream' "$convert" "$tmp/model.qins" -o -
expect "options that are for folders" 2 '--calibrate is for folders' "$convert" "$tmp/model.qins" -o "$tmp/other" --calibrate default
expect "coded weights" 2 'holds f32, which is exact, or bf16 weights, not qins8' "$convert" "$tmp/model.qins" -o "$tmp/other" --type qins8
printf 'QINS\r\n\x1a\nnonsense' >"$tmp/bad.qins"
expect "a damaged file" 3 'bad.qins' "$convert" "$tmp/bad.qins" -o "$tmp/other"
head -c -1 "$tmp/model.qins" >"$tmp/cut.qins"
expect "a file that was cut off" 3 'cut.qins' "$convert" "$tmp/cut.qins" -o "$tmp/other"
left=
for n in $(seq 3 16); do # whichever descriptor is the one too many
    (ulimit -n "$n" && "$convert" "$tmp/model.qins" -o "$tmp/few" --quiet) >"$tmp/err" 2>&1
    rmdir "$tmp/few" 2>"$tmp/err" && left="$left $n"
    rm -rf "$tmp/few"
done
equal "no empty folder is left by a failure" "" "$left"
(sleep 0.3; exec "$convert" "$tmp/model.qins" -o "$tmp/unread" -v) 2>&1 | true
equal "nobody need read the messages" "0 model.safetensors" "${PIPESTATUS[0]} $(ls "$tmp/unread" 2>&1 | grep model)"
equal "nothing is left behind" "" "$(ls -d "$tmp/other" 2>/dev/null)"

if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    echo "skip - the folder in transformers: $python has no torch and transformers"
    exit $failed
fi
head -n 60 tests/data/demo/held_out.txt | "$run" tokenize -m "$demo" -f - | tr '\n' ' ' | cut -d' ' -f1-120 >"$tmp/ids"
"$run" score -m "$tmp/again.qins" --ids "$tmp/ids" --kv-k f32 --kv-v f32 >"$tmp/scores"
"$python" - "$tmp/folder" "$tmp/ids" "$tmp/scores" 2>"$tmp/err" <<'PYTHON' || { failed=1; tail -n 1 "$tmp/err"; }
import json
import sys

import torch
from transformers import AutoModelForCausalLM

folder, ids, scores = sys.argv[1:]
ids = [int(id) for id in open(ids).read().split()]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
with torch.no_grad():
    logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
worst = 0.0
for line in map(json.loads, open(scores)):
    for id, value in line["top"]:
        worst = max(worst, abs(logprobs[line["pos"]][id].item() - (value - line["lse"])))
print(f"{'ok' if worst < 1e-3 else 'FAIL'} - the folder in transformers: {len(ids)} tokens, largest difference {worst:.1e}")
sys.exit(worst >= 1e-3)
PYTHON
exit $failed
