#!/usr/bin/env python3
"""Compares the tokens that a tokenizer_config.json changes and adds with those of transformers' AutoTokenizer.

    compare_token_configs.py [-n COUNT] [--seed SEED] [--build DIR] [TOKENIZER.JSON ...]

Makes COUNT random configurations for each tokenizer (default: two of tests/data), and encodes and decodes 100 texts with
each. Prints a line for each file; exits with 1 at the first difference. Needs: pip install tokenizers transformers, and a
build (make), from whose objects it links tokenize_many.c."""
import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import AutoTokenizer

from compare_tokenizers import ROOT, ask, build_driver, expected, random_ids, random_text

NAMES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"]
TEXTS = 100


def random_token(rng, texts, tagged):
    token = {"content": rng.choice(texts)}
    for flag in FLAGS:
        if rng.random() < 0.6: token[flag] = rng.random() < (0.1 if flag == "normalized" else 0.4)
    return {"__type": "AddedToken"} | token if tagged else token


def random_special(rng, texts):
    return rng.choice(texts) if rng.random() < 0.6 else random_token(rng, texts, True)


def random_config(rng, added, texts):
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if rng.random() < 0.8:
        entries = []
        for token in added:
            if rng.random() < 0.1: continue
            entry = {key: token[key] for key in ["content"] + FLAGS}
            if rng.random() < 0.3: entry[rng.choice(FLAGS)] ^= True
            entries.append((token["id"], entry))
        for _ in range(rng.randrange(4)):
            entries.append((rng.randrange(added[-1]["id"] + 5), random_token(rng, texts, False)))
        rng.shuffle(entries)
        config["added_tokens_decoder"] = {str(id): entry for id, entry in entries}
    for name in NAMES:
        if rng.random() < 0.3: config[name] = random_special(rng, texts)
    for name in ["image_token", "audio_token"]:
        if rng.random() < 0.1: config[name] = random_special(rng, texts)
    for name in ["extra_special_tokens", "additional_special_tokens"]:
        if rng.random() < 0.3: config[name] = [random_special(rng, texts) for _ in range(rng.randrange(4))]
    if rng.random() < 0.1: config["extra_special_tokens"] = {f"x{i}_token": random_special(rng, texts) for i in range(2)}
    return config


def texts_with_ids(rng, tokenizer, marks):
    """Records and the ids that are expected. Without the texts on which tokenizers panics: a token of white space that another token consumes."""
    records, wanted = [], []
    while len(records) < TEXTS:
        record = (len(records) % 2, random_text(rng, marks))
        try: wanted.append(expected(tokenizer, *record))
        except BaseException as error:
            if type(error).__name__ != "PanicException": raise
            continue
        records.append(record)
    return records, wanted


def compare(driver, path, count, seed, folder):
    source = json.loads(path.read_text())
    added = sorted(source["added_tokens"], key=lambda token: token["id"])
    rng = random.Random(f"{seed} {path.name}")
    texts = [token["content"] for token in added] + ["<new>", "<|tool|>", "a b", " x", "é", "<new", "the", "er", "<new>\n"]
    (folder / "config.json").write_text('{"model_type": "phi3"}')
    shutil.copy(path, folder / "tokenizer.json")
    n_refused = 0
    for number in range(count):
        config = random_config(rng, added, texts)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        marks = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
        records, wanted = texts_with_ids(rng, tokenizer, marks)
        lists = [(2 + i % 2, random_ids(rng, tokenizer, wanted)) for i in range(TEXTS)]
        wanted += [expected(tokenizer, *record) for record in lists]
        try:
            answers = ask(driver, path, records + lists, folder / "tokenizer_config.json")
        except subprocess.CalledProcessError as error:
            if b'with "normalized" true and then false' not in error.stderr: sys.exit(f"{path}: {error.stderr.decode()}{json.dumps(config)}")
            n_refused += 1
            continue
        for record, got, want in zip(records + lists, answers, wanted):
            if got != want: sys.exit(f"{path}: {record!r}\n  here         {got!r}\n  Hugging Face {want!r}\n{json.dumps(config)}")
    print(f"{path.name}: {count} configurations, {n_refused} of them refused; all texts and lists of ids are equal", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Compare the tokens of tokenizer_config.json with AutoTokenizer's.")
    parser.add_argument("-n", type=int, default=300, help="configurations for each tokenizer")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        driver = build_driver(arguments.build, pathlib.Path(name))
        for path in arguments.files or [ROOT / f"tests/data/tokenizer_{kind}.json" for kind in ("bytes", "o200k")]:
            compare(driver, path, arguments.n, arguments.seed, pathlib.Path(name))


if __name__ == "__main__":
    main()
