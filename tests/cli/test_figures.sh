#!/usr/bin/env bash
# The figures of qinsrun compare for the demo model's code, its activations not rounded, against transformers on the
# weights that the second reader decodes: each figure within 1 %, those of greedy text included. Usage: test_figures.sh BUILD_DIR
# PYTHON: an interpreter with the modules of tests/oracle/requirements.txt; without them the test is skipped.
python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1
if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    echo "skip - figures of compare: $python has no torch and transformers"
    exit 0
fi
. "$(dirname "$0")/demo.sh"
# Windows of 96 tokens stay below the 128 at which this model's RoPE factors change; the greedy texts go beyond.
{ "$run" tokenize -m "$demo" -f tests/data/demo/held_out.txt >"$tmp/ids" &&
    "$python" -c 'import sys, struct
ids = [int(id) for id in sys.stdin.read().split()][:1200]
sys.stdout.buffer.write(struct.pack(f"<{len(ids)}i", *ids))' <"$tmp/ids" >"$tmp/ids.i32" &&
    "$run" compare -m "$demo" --ref tests/data/demo --matmul sgemm --kv-k f32 --kv-v f32 --ids-file "$tmp/ids.i32" -c 96 \
        --greedy 90 --prompts 1 --json >"$tmp/ours" &&
    "$python" tests/oracle/compare_models.py "$demo" tests/data/demo "$tmp/ids.i32" --window 96 --greedy 90 --prompts 1 \
        >"$tmp/theirs"; } 2>"$tmp/err" || { echo "FAIL - figures of compare: $(tail -n 1 "$tmp/err")"; exit 1; }
"$python" - "$tmp/ours" "$tmp/theirs" <<'PYTHON'
import json
import sys

def flatten(value, name=""):
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, item in items for k, v in flatten(item, f"{name}.{key}").items()}
    return {name[1:]: value}

ours, theirs = (flatten(json.load(open(path))) for path in sys.argv[1:])
failed = ours.keys() != theirs.keys()
if failed:
    print(f"FAIL - figures of compare: their names differ: {sorted(ours.keys() ^ theirs.keys())}")
for name in ours.keys() & theirs.keys():
    if abs(ours[name] - theirs[name]) > 0.01 * abs(theirs[name]):
        print(f"FAIL - figures of compare: {name}: {ours[name]:.6g}, transformers {theirs[name]:.6g}")
        failed = True
if not failed:
    print(f"ok - figures of compare: mean KLD {ours['kld.mean']:.3e}, transformers {theirs['kld.mean']:.3e}")
sys.exit(failed)
PYTHON
