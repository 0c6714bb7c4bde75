#!/usr/bin/env python3
"""Writes tests/data/tokenizer_*.json (small tokenizers of our own) and tests/data/tokenizer_golden.jsonl (what the
Hugging Face `tokenizers` library makes of texts and ids with them). Needs: pip install tokenizers (made with 0.23.3).
Texts are in hex because some hold U+0000, which cJSON cannot carry. Deterministic: run it again, nothing changes."""
import json
import pathlib
import random

from tokenizers import Tokenizer

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SPACE = "\u2581"
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2007\u200a\u2028\u2029\u202f\u205f\u3000"
NOT_WHITE = "\x1c\x1f\u180e\u200b\u200d\u2060\ufeff"
PIECES = ["he", "th", "the", SPACE + "t", SPACE + "th", SPACE + "the", "er", "her", "re", "ll", "hell", "hello", "lo", "ello",
          SPACE + "hello", "aa", "aaa", "aaaa", SPACE * 2, SPACE * 4, SPACE + "a", "é", "中", "中中", "é中", "in", "ing", "<s", "<s>", "d>"]


def added(token_id, content, rstrip=False, special=True):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": rstrip,
            "normalized": False, "special": special}


def splits(vocab, pieces):
    """Every way to put a piece together from two others, in the order of the pieces."""
    return [(p[:i], p[i:]) for p in pieces for i in range(1, len(p)) if p[:i] in vocab and p[i:] in vocab]


def build(name, byte_pieces, byte_fallback, fuse_unk, pairs, template, more_added):
    letters = [SPACE] + list("etaoinshrdlug<>|x.,\n") + ["ß", "\u00a0"]
    tokens = ["<unk>", "<s>", "</s>"] + byte_pieces + letters + [p for p in PIECES if p != "<s>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    markers = ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"] + more_added
    tokens_added = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>", rstrip=True, special=False)]
    tokens_added += [added(len(vocab) + i, m, rstrip=m not in ("<|endoftext|>", "<|end|>\n", "\n\n\t"), special=m[0] == "<")
                     for i, m in enumerate(markers)]
    merges = splits(vocab, PIECES)
    item = lambda name, i=0: {"SpecialToken": {"id": name, "type_id": i}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    root = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens_added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [item("<s>"), text, item("end")], "pair": [],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                                              "end": {"id": "end", "ids": [2, 1], "tokens": ["</s>", "<s>"]}}} if template else None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
                                                     {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": fuse_unk, "byte_fallback": byte_fallback, "vocab": vocab,
                  "merges": [list(m) for m in merges] if pairs else [" ".join(m) for m in merges]},
    }
    (DATA / f"tokenizer_{name}.json").write_text(json.dumps(root, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return Tokenizer.from_str(json.dumps(root)), len(vocab) + len(markers)


def random_text(rng, marks):
    parts = []
    for _ in range(rng.randrange(1, 9)):
        kind = rng.randrange(8)
        if kind == 0: parts.append(rng.choice(marks) + rng.choice(["", "", " ", "\n", "\n\n\t ", rng.choice(WHITE) * 2, rng.choice(NOT_WHITE)]))
        elif kind == 1: parts.append("".join(rng.choice(WHITE) for _ in range(rng.randrange(1, 4))))
        elif kind == 2: parts.append("".join(rng.choice("éß中😀ᚠ\x00\x7f" + NOT_WHITE + SPACE) for _ in range(rng.randrange(1, 4))))
        elif kind == 3: parts.append(rng.choice("a l") * rng.randrange(1, 20))
        elif kind == 4: parts.append("<0x" + rng.choice(["41", "0a", "FF"]) + ">")
        else: parts.append(rng.choice(["the", "hello", "her", "ing", "there", " the", "<s", "d>", "QZ", "Q"]) + rng.choice(["", " ", "  "]))
    return "".join(parts)


def main():
    hex_bytes = [f"<0x{b:02X}>" for b in range(256)]
    specs = {
        "bytes": (hex_bytes, True, True, False, True, ["<|end|>x", "<|end|>\n", "\n\n\t"]),
        "unk": ([], False, True, True, False, []),
        "partial": (["<0xC3>", "<0x9F>", "<0x51>", "<0x0A>", "<0xf0>"], True, False, False, True, ["\n\n\t", "<0x41>", "<|user|><|user|>"]),
    }
    lines = []
    for name, spec in specs.items():
        tokenizer, n_ids = build(name, *spec)
        rng = random.Random(name)
        marks = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>", "<|en", "|>"] + spec[5]
        texts = ["", " ", "  ", "\n", "<s>", "</s> \n x", "a<|end|>b", "<|end|>x", "\n\n\t\n\n\t x"] + [random_text(rng, marks) for _ in range(80)]
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            prefixed = tokenizer.encode(text, add_special_tokens=True).ids
            lines.append({"tokenizer": name, "text": text.encode().hex(), "ids": ids, "prefixed": prefixed})
        for _ in range(50):
            ids = [rng.choice([rng.randrange(n_ids + 3), 3 + rng.randrange(256) % (n_ids - 3)]) for _ in range(rng.randrange(0, 12))]
            lines.append({"tokenizer": name, "decode": ids, "text": tokenizer.decode(ids, skip_special_tokens=False).encode().hex(),
                          "skip": tokenizer.decode(ids, skip_special_tokens=True).encode().hex()})
    with open(DATA / "tokenizer_golden.jsonl", "w", encoding="ascii") as out:
        for line in lines: out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
