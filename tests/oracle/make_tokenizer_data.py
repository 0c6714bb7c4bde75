#!/usr/bin/env python3
"""Writes tests/data/tokenizer_*.json (small tokenizers of our own, one of each kind) and tests/data/tokenizer_golden.jsonl
(what the Hugging Face `tokenizers` library makes of texts and ids with them). Needs: pip install tokenizers (made with 0.23.3).
Texts are in hex because some hold U+0000, which cJSON cannot carry. Deterministic: run it again, nothing changes."""
import json
import pathlib
import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from compare_tokenizers import random_ids, random_text as adversarial_text

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


def metaspace(scheme, split=False):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}


def build(name, byte_pieces, byte_fallback, fuse_unk, pairs, template, more_added, pre_tokenizer=None, decoder=None, changed=None):
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
        "normalizer": None if pre_tokenizer else {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "TemplateProcessing", "single": [item("<s>"), text, item("end")], "pair": [],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                                              "end": {"id": "end", "ids": [2, 1], "tokens": ["</s>", "<s>"]}}} if template else None,
        "decoder": decoder or {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"},
                                                     {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": fuse_unk, "byte_fallback": byte_fallback, "vocab": vocab,
                  "merges": [list(m) for m in merges] if pairs else [" ".join(m) for m in merges]},
    }
    for token in tokens_added: token.update((changed or {}).get(token["content"], {}))
    return write(name, root)


def write(name, root):
    (DATA / f"tokenizer_{name}.json").write_text(json.dumps(root, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return Tokenizer.from_str(json.dumps(root))


# --- on bytes: trained on the demo's text and some of other kinds ---

CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
MORE_TEXT = ["It's a test, isn't it? I'LL say WE'VE done camelCase and XMLHttpRequest in 1999 and 2024.", "x = [1, 22, 333, 4444];\n\n\n\treturn 0;\n",
             "// a comment\n/* another */\nhttps://example.org/a/b?c=d\n", "naïve café Straße Ärger Привет мир 你好世界 你好 नमस्ते مرحبا 😀😀"]


def train(name, pre_tokenizer, ignore_merges, pairs, n_ids=600):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    lines = (DATA / "demo" / "held_out.txt").read_text("utf-8").splitlines(keepends=True)[:2000] + 40 * MORE_TEXT
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=n_ids, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    root = json.loads(tokenizer.to_str())
    flags = {"<|endoftext|>": {}, "<|user|>": {"lstrip": True, "rstrip": True}, "<|end|>": {"rstrip": True}, "<tool>": {"special": False, "normalized": True},
             "word": {"special": False, "normalized": True, "single_word": True}, "née": {"special": False, "lstrip": True, "single_word": True}, "\n\n\t": {"special": False}}
    root["added_tokens"] = [{**added(n_ids + i, content), **more} for i, (content, more) in enumerate(flags.items())]
    model = root["model"]
    model["merges"] = [pair if pairs else " ".join(pair) for i, pair in enumerate(model["merges"]) if not ignore_merges or i % 7 or i < 60]
    if ignore_merges:  # as Llama 3
        root["post_processor"] = {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [], "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [n_ids], "tokens": ["<|endoftext|>"]}}}]}
    return write(name, root)


def train_all():
    byte_level = pre_tokenizers.ByteLevel
    after_split = lambda *first: pre_tokenizers.Sequence([*first, byte_level(add_prefix_space=False, use_regex=False)])
    return {
        "gpt2": train("gpt2", byte_level(add_prefix_space=True), False, False),
        "digits": train("digits", pre_tokenizers.Sequence([pre_tokenizers.Digits(True), byte_level(add_prefix_space=False)]), False, True),
        "cl100k": train("cl100k", after_split(pre_tokenizers.Split(Regex(CL100K), "removed", invert=True)), True, True),
        "o200k": train("o200k", after_split(pre_tokenizers.Split(Regex(O200K), "isolated")), False, True),
    }


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


EDGES = ["", " ", "  ", "\n", "<s>", "</s> \n x", "a<|end|>b", "<|end|>x", "\n\n\t\n\n\t x"]


def golden(name, tokenizer, texts, lists):
    """What Hugging Face makes of these texts and these lists of ids."""
    for text in texts:
        yield {"tokenizer": name, "text": text.encode().hex(), "ids": tokenizer.encode(text, add_special_tokens=False).ids,
               "prefixed": tokenizer.encode(text, add_special_tokens=True).ids}
    for ids in lists:
        yield {"tokenizer": name, "decode": ids, "text": tokenizer.decode(ids, skip_special_tokens=False).encode().hex(),
               "skip": tokenizer.decode(ids, skip_special_tokens=True).encode().hex()}


def main():
    hex_bytes = [f"<0x{b:02X}>" for b in range(256)]
    specs = {
        "bytes": (hex_bytes, True, True, False, True, ["<|end|>x", "<|end|>\n", "\n\n\t"]),
        "unk": ([], False, True, True, False, []),
        "partial": (["<0xC3>", "<0x9F>", "<0x51>", "<0x0A>", "<0xf0>"], True, False, False, True, ["\n\n\t", "<0x41>", "<|user|><|user|>"]),
        "normalized": (hex_bytes, True, True, False, False, ["<tool>", "a b"], None, None, {
            "<tool>": {"normalized": True, "special": False}, "a b": {"normalized": True, "single_word": True}, "<|system|>": {"lstrip": True},
            "<|user|>": {"normalized": True, "lstrip": True}}),
        "metaspace_first": (hex_bytes, True, True, True, True, [], metaspace("first")),
        "metaspace_always": (hex_bytes, True, True, True, False, ["<tool>"], metaspace("always", True), metaspace("always", True),
                             {"<tool>": {"normalized": True, "single_word": True}}),
        "metaspace_never": ([], False, True, True, False, [], metaspace("never"), metaspace("never")),
    }
    lines = []
    for name, spec in specs.items():
        tokenizer = build(name, *spec)
        rng = random.Random(name)
        marks = ["<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>", "<|en", "|>"] + spec[5]
        texts = EDGES + [random_text(rng, marks) for _ in range(80)]
        n_ids = tokenizer.get_vocab_size()
        ids = [[rng.choice([rng.randrange(n_ids + 3), 3 + rng.randrange(256) % (n_ids - 3)]) for _ in range(rng.randrange(0, 12))] for _ in range(50)]
        lines += golden(name, tokenizer, texts, ids)
    for name, tokenizer in train_all().items():
        rng = random.Random(name)
        marks = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        texts = EDGES + [adversarial_text(rng, marks) for _ in range(80)]
        known = [tokenizer.encode(text).ids for text in texts]
        lines += golden(name, tokenizer, texts, [random_ids(rng, tokenizer, known) for _ in range(50)])
    with open(DATA / "tokenizer_golden.jsonl", "w", encoding="ascii") as out:
        for line in lines: out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
