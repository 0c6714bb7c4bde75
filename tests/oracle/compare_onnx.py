#!/usr/bin/env python3
"""Compares ONNX models that qinsconvert writes with the .qins files they are made from: onnxruntime's logits against
qinsrun's, for every checkpoint of tests/data and every type of weights.

    compare_onnx.py [--build DIR] [--golden]

onnx's checker must accept each model. Logits are compared of a whole prompt, and of the same tokens in pieces with past
keys and values, up to the switch of LongRoPE's factors and beyond it. qinsrun computes with FP32 keys and values, once
with products in FP32 (--matmul sgemm), of which only the order of sums may differ, and once as it does by default, with
14-bit activations for coded weights. Prints a line for each model, with the largest differences relative to the range
of the logits; exits with 1 at the first that is too large. --golden writes the checksums of models that passed to
tests/data/onnx.txt, to which tests/cli/test_onnx.sh holds every build.

Needs: pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6, and a build (make)."""
import argparse
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TYPES = ["f32", "bf16", "qins8", "qins6", "qins5", "qins4"]
LIMITS = {"sgemm": 2e-5, "exact": 1e-2}  # of the range of the logits


def qins_logits(build, model, ids, folder, matmul):
    (folder / "ids").write_text(" ".join(map(str, ids)))
    command = [build / "qinsrun", "score", "-m", model, "--ids", folder / "ids", "--top", "100000", "--kv-k", "f32",
               "--kv-v", "f32", "--matmul", matmul, "-q", "-c", str(len(ids))]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    rows = [sorted(json.loads(line)["top"]) for line in lines]
    return numpy.array([[logit for _, logit in row] for row in rows])


class OnnxModel:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.pasts = [i for i in self.session.get_inputs() if i.name != "input_ids"]

    def logits(self, ids, pieces):
        """Rows of all tokens, which are run in pieces of these sizes; what is left, token by token."""
        cache = {i.name: numpy.zeros((1, i.shape[1], 0, i.shape[3]), numpy.float32) for i in self.pasts}
        rows, done = [], 0
        while done < len(ids):
            size = pieces.pop(0) if pieces else 1
            out = self.session.run(None, {"input_ids": numpy.array([ids[done:done + size]], numpy.int64)} | cache)
            rows.append(out[0][0])
            cache = {i.name: value for i, value in zip(self.pasts, out[1:])}
            done += size
        return numpy.concatenate(rows)


def prompts(config):
    """(number of tokens, pieces): LongRoPE's factors must be the same from the first piece to the last."""
    original, rope = config["original_max_position_embeddings"], config["rope_scaling"]
    if rope is None: return [(48, [48]), (48, [7, 20])]
    return [(original, [original]), (original, [5]), (original + 1, [original + 1]), (original + 12, [original + 3, 4])]


def compare(build, model, exported, config, folder):
    onnx.checker.check_model(str(exported), full_check=True)
    runner = OnnxModel(str(exported))
    rng = random.Random(1)
    worst = dict.fromkeys(LIMITS, 0.0)
    for n_tokens, pieces in prompts(config):
        ids = [rng.randrange(3, config["vocab_size"]) for _ in range(n_tokens)]
        found = runner.logits(ids, pieces)
        for matmul in LIMITS:
            expected = qins_logits(build, model, ids, folder, matmul)
            error = numpy.abs(found[:len(expected)] - expected).max() / numpy.ptp(expected)
            worst[matmul] = max(worst[matmul], error)
    return worst


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def checksums(exported):
    """Of the model without its first two fields, the versions of the format and of the program; and of its data."""
    model = exported.read_bytes()
    return sha256(model[4 + model[3]:]), sha256(exported.with_name(exported.name + ".data").read_bytes())


def figures(errors):
    return ", ".join(f"{value:.1e} ({key})" for key, value in errors.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--golden", action="store_true")
    arguments = parser.parse_args()
    golden, largest = [], dict.fromkeys(LIMITS, 0.0)
    for source in [ROOT / "tests/data/demo", *sorted((ROOT / "tests/data/tiny").iterdir())]:
        for kind in TYPES:
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                model, exported = folder / "model.qins", folder / "model.onnx"
                subprocess.run([arguments.build / "qinsconvert", source, "-o", model, "--type", kind, "--quiet"], check=True)
                subprocess.run([arguments.build / "qinsconvert", model, "-o", exported, "--quiet"], check=True)
                config = json.loads((source / "config.json").read_text())
                worst = compare(arguments.build, model, exported, config, folder)
                print(f"{source.name} {kind}: {figures(worst)}")
                if any(worst[key] > limit for key, limit in LIMITS.items()): sys.exit("that is too much")
                largest = {key: max(largest[key], worst[key]) for key in LIMITS}
                golden.append(" ".join([str(source.relative_to(ROOT)), kind, *checksums(exported)]))
    print(f"{len(golden)} models: {figures(largest)}")
    if arguments.golden: (ROOT / "tests/data/onnx.txt").write_text("\n".join(golden) + "\n")


if __name__ == "__main__":
    main()
