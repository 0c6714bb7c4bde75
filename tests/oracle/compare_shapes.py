#!/usr/bin/env python3
"""Compares checkpoints of the family's real widths, two layers of random weights, with transformers in float32.

    compare_shapes.py [--build DIR] [NAME ...]     (default: all of SHAPES)

A checkpoint in BF16 is written, converted with --type bf16, which changes no weight, and opened by libqins with keys and values
in FP32. Logits are compared after each of the first tokens, as one prompt and token by token; then, where LongRoPE's factors
switch, after the last two tokens with the short and the first two with the long ones, and otherwise where a window of attention
begins to leave out tokens, and much later. Prints the largest difference, as a share of the range of the logits, and exits with 1
where it exceeds LIMIT. Needs the modules of requirements.txt, a build (make),
16 GB of memory, and 7 GB of disk for temporary files."""
import argparse
import ctypes
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Phi3Config, Phi3ForCausalLM

import phi3_folder

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT = 1e-5    # of the range of the logits
N_TOKENS = 12
F32 = 0         # enum qins_type
MINI = dict(hidden=3072, ffn=8192, heads=32, kv_heads=32, vocab_size=32064)
LONG = dict(max_positions=131072, original=4096, short=[1.0] * 48, long=[1 + 0.97 * i + 0.01 * i * i for i in range(48)])
SHAPES = {
    "phi-3-mini-4k": MINI | dict(max_positions=4096, sliding_window=2047),
    "phi-3.5-mini": MINI | LONG,
    "phi-3-medium": dict(hidden=5120, ffn=17920, heads=40, kv_heads=10, vocab_size=32064, max_positions=4096,
                         sliding_window=2047),
    "phi-4": dict(hidden=5120, ffn=17920, heads=40, kv_heads=10, vocab_size=100352, max_positions=16384,
                  rope_theta=250000.0),
    "phi-4-mini": MINI | LONG | dict(heads=24, kv_heads=8, vocab_size=200064, partial_rotary_factor=0.75, tie_word_embeddings=True),
}


# --- the checkpoint ---

def make_folder(folder, shape):
    config = phi3_folder.config(0, layers=2, dtype="bfloat16", **shape) | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    phi3_folder.write_json(folder / "config.json", config)
    with torch.device("meta"):
        shapes = {name: like.shape for name, like in Phi3ForCausalLM(Phi3Config.from_pretrained(folder)).state_dict().items()}
    generator, tensors = torch.Generator().manual_seed(1), {}
    for name, size in shapes.items():
        if name == "lm_head.weight" and config["tie_word_embeddings"]: continue
        values = torch.randn(size, generator=generator)
        tensors[name] = (1 + 0.3 * values if len(size) == 1 else values * (2 / math.sqrt(size[-1]))).bfloat16()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# --- both sides ---

class Session:
    """A sequence in libqins, in reference mode."""

    class Options(ctypes.Structure):
        _fields_ = [("n_ctx", ctypes.c_size_t), ("k_type", ctypes.c_int), ("v_type", ctypes.c_int), ("matmul", ctypes.c_int),
                    ("rope_long", ctypes.c_bool)]

    class Error(ctypes.Structure):
        _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 2048)]

    def __init__(self, library, model, n_ctx, vocab_size):
        self.library, self.vocab_size, self.error = ctypes.CDLL(library), vocab_size, self.Error()
        for name in ("model_open", "engine_create", "session_create"): getattr(self.library, "qins_" + name).restype = ctypes.c_void_p
        self.library.qins_session_logits.restype = ctypes.POINTER(ctypes.c_float)
        self.model = self.call("model_open", str(model).encode())
        self.engine = self.call("engine_create", ctypes.byref(self.model), ctypes.c_size_t(1), ctypes.c_size_t(0))
        self.open(n_ctx)

    def call(self, name, *arguments):
        result = getattr(self.library, "qins_" + name)(*arguments, ctypes.byref(self.error))
        if self.error.status != 0: sys.exit(self.error.message.decode())
        return ctypes.c_void_p(result)

    def open(self, n_ctx):
        options = self.Options(n_ctx=n_ctx, k_type=F32, v_type=F32)
        self.session = self.call("session_create", self.engine, self.model, ctypes.byref(options))

    def logits(self, ids):
        """After the last id; what earlier calls share with the sequence is in the cache."""
        self.call("session_begin", self.session, (ctypes.c_int32 * len(ids))(*ids), ctypes.c_size_t(len(ids)))
        self.call("session_finish", self.session)
        return numpy.ctypeslib.as_array(self.library.qins_session_logits(self.session), (self.vocab_size,)).copy()

    def close(self):
        self.library.qins_session_free(self.session)


def reference_logits(model, ids, lengths):
    """{length: logits after so many tokens}, of one forward call over as many ids as the last length."""
    with torch.no_grad():
        rows = model(torch.tensor([ids[:lengths[-1]]]), use_cache=False, logits_to_keep=torch.tensor(lengths) - 1).logits[0]
    return dict(zip(lengths, rows.numpy()))


# --- the comparison ---

def difference(found, expected):
    return float(numpy.abs(found - expected).max() / numpy.ptp(expected))


def edges(shape):
    """Lists of lengths, each of which transformers computes with the same factors of LongRoPE."""
    original, window = shape.get("original"), shape.get("sliding_window")
    if original: return [[original - 1, original], [original + 1, original + 2]]
    return [[window - 1, window, window + 1, window + 2, window + 853]] if window else []


def compare(library, folder, model, shape):
    calls = [list(range(1, N_TOKENS + 1))] + edges(shape)
    n_ctx = calls[-1][-1]
    ids = numpy.random.default_rng(1).integers(3, shape["vocab_size"], n_ctx).tolist()
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    expected = {}
    for lengths in calls: expected |= reference_logits(reference, ids, lengths)
    del reference
    session = Session(library, model, n_ctx, shape["vocab_size"])
    worst = {"prompt": difference(session.logits(ids[:N_TOKENS]), expected[N_TOKENS])}
    session.close()
    session.open(n_ctx)
    for length, row in expected.items():
        part = "tokens" if length <= N_TOKENS else f"{length}"
        worst[part] = max(worst.get(part, 0.0), difference(session.logits(ids[:length]), row))
    session.close()
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=list(SHAPES))
    arguments = parser.parse_args()
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as temporary:
            folder, model = pathlib.Path(temporary), pathlib.Path(temporary) / "model.qins"
            make_folder(folder, SHAPES[name])
            subprocess.run([arguments.build / "qinsconvert", folder, "-o", model, "--type", "bf16", "--quiet"], check=True)
            worst = compare(arguments.build / "libqins.so.0", folder, model, SHAPES[name])
        print(f"{name}: " + ", ".join(f"{value:.1e} ({part})" for part, value in worst.items()), flush=True)
        if max(worst.values()) > LIMIT: sys.exit("that is too much")


if __name__ == "__main__":
    main()
