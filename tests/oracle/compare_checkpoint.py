#!/usr/bin/env python3
"""Compares a real checkpoint in qinsrun's reference mode (FP32 weights, keys and values) with transformers in float32.

    compare_checkpoint.py HF_DIR [-n TOKENS] [--text FILE --windows N] [--build DIR]

Greedy replies: the first TOKENS (default: 200) to each of 20 prompts in the checkpoint's own chat template, with the id that
ends a reply. Each must be the most probable one after those before it in a single pass of transformers over prompt and reply,
which makes the reply, step by step, that of greedy decoding. At the first that is not, the lead of transformers' choice over it
is printed as a share of the range of the logits: within LIMIT it is a tie that rounding decides, beyond it an error.
Perplexity: of the first N windows of 512 tokens of FILE; the relative difference is at most PPL_LIMIT. Exits with 1 if
anything is too far off.
Needs the modules of requirements.txt, a build (make), and 4 bytes of memory and of disk for each weight."""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REFERENCE = ["--kv-k", "f32", "--kv-v", "f32", "-q", "--json"]
LIMIT = 1e-5      # of the range of the logits: five times the largest difference seen (docs/quality.md)
PPL_LIMIT = 1e-4
WINDOW = 512
PROMPTS = [
    "What is the capital of France, and what is it known for?",
    "Explain to a child why the sky is blue.",
    "Write a short story about a lighthouse keeper who finds a letter.",
    "Write a Python function that returns the n-th Fibonacci number, and explain it.",
    "List ten animals that live in the ocean.",
    "What is 17 + 25? Show your steps.",
    "Translate to French: The weather is nice today, and we are going to the park.",
    "Summarize: The cat sat on the mat. The dog came in and barked. The cat ran up the curtain and would not come down.",
    "Write an e-mail to my landlord about a broken heater.",
    "Write a poem about autumn in four lines.",
    "How do I make pancakes? Give the ingredients first.",
    "Who wrote Pride and Prejudice, and what happens in it?",
    "What are the differences between TCP and UDP?",
    "{\"name\": \"Ada\", \"age\": 36}\nTurn this JSON into a sentence.",
    "Was ist der Unterschied zwischen Wetter und Klima?",
    "你好！请介绍一下你自己。",
    "fix this sentence: he dont know were they goes 😀",
    "Give me three arguments for and three against school uniforms.",
    "   What does\n\n\tint main(void) { return 0; }\n\ndo in C?   ",
    "Continue: 1, 2, 4, 8, 16,",
]


class Reference:
    def __init__(self, folder):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.template = AutoTokenizer.from_pretrained(folder).apply_chat_template

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def prompt(self, text):
        message = [{"role": "user", "content": text}]
        return self.encode(self.template(message, tokenize=False, add_generation_prompt=True))

    def logits(self, ids):
        """[n, vocab] of one forward call over the whole sequence."""
        with torch.no_grad():
            return self.model(torch.tensor([ids]), use_cache=False).logits[0]

    def nll(self, ids):
        logits = self.logits(ids)[:-1].double()
        return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").item()


def qins(build, *arguments):
    command = [build / "qinsrun", *map(str, arguments), *REFERENCE]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compare_reply(reference, build, model, text, n_tokens):
    """How many tokens are greedy, how many there are, and the lead of transformers' choice at the first that is not."""
    prompt = reference.prompt(text)
    record = qins(build, "run", "-m", model, "-p", text, "-n", n_tokens)
    if record["prompt_tokens"] != len(prompt): sys.exit(f"{text!r}: {record['prompt_tokens']} tokens, not {len(prompt)}")
    ids = record["ids"] + ([record["stop_id"]] if "stop_id" in record else [])
    for step, row in enumerate(reference.logits(prompt + ids[:-1])[len(prompt) - 1:]):
        if row.argmax() != ids[step]: return step, len(ids), ((row.max() - row[ids[step]]) / (row.max() - row.min())).item()
    return len(ids), len(ids), None


def compare_replies(reference, build, model, n_tokens):
    n_same, worst = 0, 0.0
    for number, text in enumerate(PROMPTS):
        same, count, lead = compare_reply(reference, build, model, text, n_tokens)
        n_same += lead is None
        worst = max(worst, lead or 0.0)
        ending = "" if lead is None else f"; transformers' next token leads by {lead:.1e} of the range"
        print(f"{number + 1:2} {same} of {count} tokens are the same{ending}", flush=True)
    print(f"{n_same} of {len(PROMPTS)} replies are the same")
    return worst <= LIMIT


def compare_perplexity(reference, build, model, path, n_windows):
    ids = reference.encode(path.read_bytes().decode())
    windows = [ids[at:at + WINDOW] for at in range(0, len(ids), WINDOW)][:n_windows]
    windows = [window for window in windows if len(window) >= 2]
    predicted = sum(len(window) - 1 for window in windows)
    expected = math.exp(sum(map(reference.nll, windows)) / predicted)
    found = qins(build, "perplexity", "-m", model, "-f", path, "--parse-special", "--window", WINDOW,
                 "--max-windows", n_windows)
    if found["predicted"] != predicted: sys.exit(f"{found['predicted']} tokens are predicted, not {predicted}")
    difference = abs(found["ppl"] / expected - 1)
    print(f"perplexity {found['ppl']:.6f}, transformers {expected:.6f}: {difference:.1e} apart, {predicted} tokens")
    return difference <= PPL_LIMIT


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    arguments = parser.parse_args()
    reference = Reference(arguments.folder)
    with tempfile.TemporaryDirectory() as name:
        model = pathlib.Path(name) / "model.qins"
        subprocess.run([arguments.build / "qinsconvert", arguments.folder, "-o", model, "--type", "f32", "--quiet"], check=True)
        good = compare_replies(reference, arguments.build, model, arguments.n)
        if arguments.text is not None:
            good &= compare_perplexity(reference, arguments.build, model, arguments.text, arguments.windows)
    if not good: sys.exit("that is too far apart")


if __name__ == "__main__":
    main()
