#!/usr/bin/env python3
"""Compares the tokenizer with Hugging Face `tokenizers` on random and adversarial texts, encoded and decoded.

    compare_tokenizers.py [-n COUNT] [--seed SEED] [--build DIR] [TOKENIZER.JSON ...]

Default: every tests/data/tokenizer_*.json, 100,000 texts each, and as many lists of ids. Prints a line for each file,
with the processor time for 1 MB of the slowest text; exits with 1 at the first difference. Needs: pip install tokenizers (0.23.3), and a build
(make), from whose objects it links tokenize_many.c."""
import argparse
import array
import pathlib
import random
import resource
import struct
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
LETTERS = "aAbBzZßẞéÉǅǈʰªºſKΩωДджЖאبनमकไ中日あア한ⅣⅷⒶⓐ𝔘𝔫𐐀𐐨ꟊᲉ"
MARKS = "\u0300\u0301\u0327\u20dd\u0903\u093f\u0e31\u1ab0\ufe0f\U0001d165"
DIGITS = "0123456789٣४๓②½¼³₂Ⅻ〇𝟗𐒡፩"
SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»—–…“”‘’€™©😀👩‍🚀\u200b\u200d\u2060\ufeff\ufffd\x00\x01\x1f\x7f\u0085\U000e0001"
WORDS = ["the", "hello", "her", "ing", "there", "don't", "I'LL", "we've", "it'ſ", "O'Re", "'s", "'S", "''t", "iPhone", "XMLHttp",
         "camelCase", "SHOUTING", "ÉCOLEs", "ǅungla", "naïve", "Straße", "Привет", "مرحبا", "नमस्ते", "你好", "안녕", "12345", "3.14",
         "1e-5", "//", "/*", "https://a.b/c", "```\n", "x=1;", "<0x41>", "<0x0A>", "▁", "Ġ", "Ċ", "Ã©"]


def random_text(rng, marks):
    parts = []
    for _ in range(rng.randrange(1, 9)):
        kind = rng.randrange(12)
        if kind == 0: parts.append(rng.choice(marks))
        elif kind == 1: parts.append(rng.choice(marks)[:rng.randrange(1, 9)] + rng.choice(["", " ", "\n", rng.choice(WHITE) * 2]))
        elif kind == 2: parts.append("".join(rng.choice(WHITE) for _ in range(rng.randrange(1, 6))))
        elif kind == 3: parts.append(rng.choice(" \n\r\t") * rng.randrange(1, 12) + rng.choice(["", "\n", " "]))
        elif kind == 4: parts.append("".join(rng.choice(LETTERS + MARKS) for _ in range(rng.randrange(1, 8))))
        elif kind == 5: parts.append("".join(rng.choice(DIGITS) for _ in range(rng.randrange(1, 8))))
        elif kind == 6: parts.append("".join(rng.choice(SIGNS + MARKS) for _ in range(rng.randrange(1, 6))))
        elif kind == 7: parts.append("".join(rng.choice(LETTERS + MARKS + DIGITS + SIGNS + WHITE) for _ in range(rng.randrange(1, 10))))
        elif kind == 8: parts.append("".join(any_character(rng) for _ in range(rng.randrange(1, 4))))
        else: parts.append(rng.choice(["", " ", "  ", "\n"]) + rng.choice(WORDS) + rng.choice(["", "", " ", "'", "\n"]))
    return "".join(parts)


def any_character(rng):
    """Half of them from the first planes' start. Not the numbers of Unicode 17, which Digits alone knows already."""
    while True:
        c = rng.randrange(0x3000) if rng.random() < 0.5 else rng.randrange(0x110000)
        if not 0xD800 <= c < 0xE000 and not 0x11DE0 <= c < 0x11DEA: return chr(c)


def build_driver(build, folder):
    driver = folder / "tokenize_many"
    objects = [str(path) for part in ("tokenizer", "engine/base") for path in sorted((build / part).glob("*.o"))]
    subprocess.run(["cc", "-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L", f"-I{ROOT}", "-o", str(driver),
                    str(ROOT / "tests/oracle/tokenize_many.c"), *objects, "-lcjson", "-lxxhash", "-lm", "-lpthread", "-ldl"], check=True)
    return driver


def ask(driver, path, records, *more):
    """[(what, text or ids)] -> [ids or text]; more: the tokenizer_config.json"""
    parts = []
    for what, value in records:
        data = value.encode() if what < 2 else array.array("i", value).tobytes()
        parts.append(struct.pack("=II", what, len(data) // (1 if what < 2 else 4)) + data)
    command = [str(driver), str(path), *map(str, more)]
    out = subprocess.run(command, input=b"".join(parts), stdout=subprocess.PIPE, stderr=subprocess.PIPE if more else None, check=True).stdout
    answers, at = [], 0
    for what, _ in records:
        n, = struct.unpack_from("=I", out, at)
        size = n * (4 if what < 2 else 1)
        data = out[at + 4:at + 4 + size]
        at += 4 + size
        answers.append(list(array.array("i", data)) if what < 2 else data.decode())
    return answers


def expected(tokenizer, what, value):
    if what < 2: return tokenizer.encode(value, add_special_tokens=what == 1).ids
    return tokenizer.decode(value, skip_special_tokens=what == 3)


def random_ids(rng, tokenizer, texts_ids):
    n_ids = tokenizer.get_vocab_size(with_added_tokens=True)
    kind = rng.randrange(3)
    if kind == 0: return [rng.randrange(n_ids + 3) for _ in range(rng.randrange(12))]
    ids = list(rng.choice(texts_ids))
    if kind == 1 and ids: del ids[rng.randrange(len(ids))]
    return ids[rng.randrange(len(ids) + 1):] if kind == 1 else ids


def one_megabyte(rng, marks):
    text = ""
    while len(text) < 1_000_000: text += "".join(random_text(rng, marks) for _ in range(200))
    return text.encode()[:1_000_000].decode(errors="ignore")


def measure(driver, path, texts):
    """Processor time for the slowest of these texts, less that of starting up: seconds."""
    def run(records):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ask(driver, path, records)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    idle = min(run([]) for _ in range(3))
    times = [min(run([(0, text)]) for _ in range(2)) - idle for text in texts]
    return f"{max(times):.2f} s ({texts[times.index(max(times))][:8]!r}...)"


def compare(driver, path, count, seed):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rng = random.Random(f"{seed} {path.name}")
    marks = sorted(t.content for t in tokenizer.get_added_tokens_decoder().values())
    texts = [random_text(rng, marks) for _ in range(count)]
    wanted, records = [], [(i % 8 == 0, text) for i, text in enumerate(texts)]
    wanted = [expected(tokenizer, *record) for record in records]
    lists = [(2 + i % 2, random_ids(rng, tokenizer, wanted)) for i in range(count)]
    wanted += [expected(tokenizer, *record) for record in lists]
    for record, got, want in zip(records + lists, ask(driver, path, records + lists), wanted):
        if got != want: sys.exit(f"{path}: {record!r}\n  here         {got!r}\n  Hugging Face {want!r}")
    big = [one_megabyte(rng, marks), "a" * 1_000_000, " " * 1_000_000, "\n " * 500_000, "aA" * 500_000, "\u0301A" * 333_333, "the cat " * 125_000,
           "中" * 333_333]
    print(f"{path.name}: {count} texts and {count} lists of ids are equal; 1 MB in at most {measure(driver, path, big)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Compare the tokenizer with Hugging Face's.")
    parser.add_argument("-n", type=int, default=100_000, help="texts for each tokenizer")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        driver = build_driver(arguments.build, pathlib.Path(folder))
        for path in arguments.files or sorted((ROOT / "tests/data").glob("tokenizer_*.json")):
            compare(driver, path, arguments.n, arguments.seed)


if __name__ == "__main__":
    main()
