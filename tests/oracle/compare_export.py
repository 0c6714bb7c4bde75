#!/usr/bin/env python3
"""Compares the tokenizer and the chat template of folders that qinsconvert exports with what they were converted from, as
transformers loads them.

    compare_export.py [-n COUNT] [--build DIR] [TOKENIZER.JSON ...]

For every tokenizer (default: tests/data/tokenizer_*.json and the demo's) the demo model is converted with it and written out
again: AutoTokenizer of that folder gives the ids of `tokenizers` with the original file for COUNT texts (default: 2000), and of
qinsrun tokenize for some of them, with and without what goes around a text; and the same texts of ids. For every chat template of
tests/data/chat_templates.json that is known, the exported one renders what the original did. Exits with 1 at the first
difference. Needs the modules of requirements.txt (transformers 5.23 and 5.24 were tried), and a build (make)."""
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
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from compare_tokenizers import random_ids, random_text  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MARKERS = ["<|im_start|>", "<|im_sep|>", "<|im_end|>"]  # those of formats that the demo's tokenizer has not


def require(same, what, *details):
    if not same: sys.exit("\n".join([what, *map(repr, details)]))


def exported(build, folder, tokenizer, config, name):
    """The demo with another tokenizer, to a .qins file and back: the file, and AutoTokenizer of the new folder."""
    source, model, out = folder / f"{name}-source", folder / f"{name}.qins", folder / f"{name}-out"
    source.mkdir()
    for file in ("config.json", "model.safetensors"): shutil.copy(ROOT / "tests/data/demo" / file, source / file)
    model_config = json.loads((source / "config.json").read_text())
    rows = max(model_config["vocab_size"], tokenizer.get_vocab_size())
    require(rows == model_config["vocab_size"], f"{name}: the demo has not so many rows")
    (source / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (source / "tokenizer_config.json").write_text(json.dumps(config))
    for command in ([source, "-o", model, "--type", "qins4"], [model, "-o", out]):
        subprocess.run([build / "qinsconvert", *command, "--quiet"], check=True, stderr=subprocess.DEVNULL)
    return model, AutoTokenizer.from_pretrained(out)


def qins_ids(build, model, text, folder):
    (folder / "text").write_bytes(text.encode())
    command = [build / "qinsrun", "tokenize", "-m", model, "-f", folder / "text", "-q"]
    return [int(id) for id in subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split()]


def compare_tokenizer(build, path, count, folder):
    name = path.parent.name + "-" + path.stem
    original = Tokenizer.from_file(str(path))
    model, again = exported(build, folder, original, {}, name)
    rng = random.Random(1)
    marks = [token.content for token in original.get_added_tokens_decoder().values()]
    for i in range(count):
        text = random_text(rng, marks)
        for around in (False, True):
            expected = original.encode(text, add_special_tokens=around).ids
            require(again.encode(text, add_special_tokens=around) == expected, name, text, expected)
        if i < 50:
            expected = original.encode(text, add_special_tokens=True).ids
            plain = original.encode(text, add_special_tokens=False).ids
            require(qins_ids(build, model, text, folder) in (expected, plain), name, text, expected)
        ids = random_ids(rng, original, [expected])
        for skip in (False, True):
            expected = original.decode(ids, skip_special_tokens=skip)
            require(again.decode(ids, skip_special_tokens=skip) == expected, name, ids, expected)
    print(f"{name}: {count} texts and lists of ids are the same")


def compare_chats(build, folder):
    goldens = json.loads((ROOT / "tests/data/chat_templates.json").read_text())
    tokenizer = Tokenizer.from_file(str(ROOT / "tests/data/demo/tokenizer.json"))
    tokenizer.add_special_tokens(MARKERS)
    known = [item for item in goldens["templates"] if item["expected"]["template"] != "none"]
    for number, item in enumerate(known):
        config = item["tokens"] | {"chat_template": item["template"]}
        _, again = exported(build, folder, tokenizer, config, f"chat{number}")
        for i in range(4):  # the conversations that end with the user's message
            messages, expected = goldens["conversations"][i], item["renders"][2 * i]
            if item["expected"].get("no_system") and messages[0]["role"] == "system": continue
            found = again.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            require(found == expected, item["name"], found, expected)
    print(f"{len(known)} chat templates render the same")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("tokenizers", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    data = ROOT / "tests/data"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path in arguments.tokenizers or [data / "demo/tokenizer.json", *sorted(data.glob("tokenizer_*.json"))]:
            compare_tokenizer(arguments.build, path, arguments.n, folder)
        compare_chats(arguments.build, folder)


if __name__ == "__main__":
    main()
