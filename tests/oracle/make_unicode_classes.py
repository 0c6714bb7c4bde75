#!/usr/bin/env python3
"""Writes tokenizer/unicode_runs.c: the classes of code points that splitting text into words needs. They are taken from
the `tokenizers` library itself (made with 0.23.3: Unicode 16.0), as its regular expressions see every code point, so the
splitter agrees with it wherever it runs. Deterministic: run it again, nothing changes."""
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# The order of `enum unicode_class`.
OTHER, UPPER, LOWER, LETTER, MARK, DIGIT, NUMBER, SPACE, WORD = range(9)


def matching(regex):
    """All code points that this expression matches."""
    split = pre_tokenizers.Split(Regex(f"(?:{regex})+"), "removed", invert=True)
    return {ord(c) for part, _ in split.pre_tokenize_str("".join(map(chr, CODE_POINTS))) for c in part}


def word_characters():
    """\\w as `single_word` of added tokens understands it: no such token is found right after one of these."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("\x01\x02", single_word=True, normalized=False)])
    words = set()
    for first in range(0, len(CODE_POINTS), 4096):
        chunk = [c for c in CODE_POINTS[first:first + 4096] if c not in (1, 2)]
        encoding = tokenizer.encode("".join(chr(c) + "\x01\x02\x03" for c in chunk))
        found = {offsets[0] for token, offsets in zip(encoding.ids, encoding.offsets) if token == 1}
        words |= {c for i, c in enumerate(chunk) if 4 * i + 1 not in found}
    return words


def classify():
    classes = [OTHER] * 0x110000
    words = word_characters()
    for c in words: classes[c] = WORD
    for regex, value in [(r"\p{Lu}|\p{Lt}", UPPER), (r"\p{Ll}", LOWER), (r"\p{Lm}|\p{Lo}", LETTER), (r"\p{M}", MARK), (r"\s", SPACE)]:
        for c in matching(regex): classes[c] = value
    for c in matching(r"\p{N}"): classes[c] = DIGIT if c in words else NUMBER
    return classes


def main():
    classes = classify()
    runs = [(c, value) for c, value in enumerate(classes) if c == 0 or value != classes[c - 1]]
    entries = [f"0x{c << 4 | value:x}," for c, value in runs]
    lines, line = [], ""
    for entry in entries:
        if len(line) + len(entry) + 5 > 120:
            lines.append(line)
            line = ""
        line += (" " if line else "") + entry
    lines.append(line)
    (ROOT / "tokenizer" / "unicode_runs.c").write_text(
        "// Made by tests/oracle/make_unicode_classes.py: Unicode 16.0. Starts of runs of code points of one class:\n"
        "// code point << 4 | class.\n#include \"tokenizer/unicode_class.h\"\n\n// clang-format off\n"
        "const uint32_t unicode_runs[] = {\n" + "".join(f"    {line}\n" for line in lines) + "};\n// clang-format on\n"
        "const size_t unicode_n_runs = sizeof unicode_runs / sizeof *unicode_runs;\n", "ascii")
    print(len(runs), "runs")


if __name__ == "__main__":
    main()
