"""Make tests/data/demo/tokenizer_cases.json: what Hugging Face's tokenizers library does with the demo tokenizer.

    python make_tokenizer_goldens.py

Three lists: "encode" {text, ids}, "decode" {ids, text, text_skip_special}, "chat" {messages, add_generation_prompt,
text, ids}.  The file is ASCII (\\u escapes, surrogate pairs); some texts contain U+0000.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer

import demo_text
import phi3_folder

FOLDER = Path(__file__).resolve().parent.parent / "data" / "demo"
BASE = 768          # <|endoftext|>; <|assistant|> is BASE + 1, <|end|> BASE + 7, <|user|> BASE + 10
ROWS = BASE + 64

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"      # swallowed by rstrip
NOT_WHITE_SPACE = "\x1c\x1f\u180e\u200b\u200d\u2060\ufeff"                                       # not swallowed

ENCODE = [
    "", " ", "  ", "   ", "    ", "     ", " " * 7, " " * 8, " " * 9, " " * 16, " " * 33, "\t", "\n", "\n\n", "\r\n", "\t \n",
    "a", " a", "a ", " a ", "  a", "a  b", "a   b    c", "Hello", "hello", "HELLO", "Hello world", " Hello world!",
    "Once upon a time, there was a fox.", "once upon a time", "Once  upon\na\ttime", "The end.\n\nThe end.",
    "\"Who is there?\" asked Lily.", "one two three", "twenty-four", "2 + 3 = 5", "0123456789", "3.14159", "1,000,000",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the the thethethe", "xyzzy qwfp zxcv", "don't", "it’s", "I’ll",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "int main(void) { return 0; }", "http://example.org/a?b=c&d=e#f",
    "café", "cafe\u0301", "für", "fur\u0308", "Ärger", "naïve", "ß", "Ελλάδα", "Привет, мир", "שלום", "مرحبا", "नमस्ते",
    "你好，世界", "こんにちは", "안녕하세요", "ไทย", "😀", "a😀b", "👩‍👩‍👧‍👦", "🇫🇷🇮🇹", "👍🏽", "❤️", "𝔘𝔫𝔦", "\U0010ffff",
    "\ufffd", "\ufeffa", "a\u200bb", "\u00a0a\u00a0", "\u3000", "\u2028", "\x7f", "\x80", "\x00", "a\x00b", "\x00\x00",
    "\x01\x1f", "▁", "▁▁", "a▁b", "▁a", " ▁ ", "<0x41>", "<0x0A>", "<0xE2><0x96>", "<unk>", "<s>", "</s>",
    "<s>hello", "a<s> b", "<s> <s>", "</s> a", "a </s>\n\nb", "<unk> x", "<S>", "< s>", "<|end|>", "a<|end|>b",
    "a <|end|> b", "<|end|><|end|>", "<|end|>   ", "<|END|>", "<|end|", "<|end|>|>", "<<|end|>>", "|<|user|>|",
    "<|user|>\nHello<|end|>\n<|assistant|>\n", "<|endoftext|> a", "<|endoftext|>\n\n", "<|placeholder1|> <|placeholder6|> x",
    "<|placeholder7|>", "<|system|>\t\n x", "<|user|> <|user|> <|user|>", "<|assistant|><s> a</s> b<unk> c",
    "<|user|>▁a", "<|user|> ▁ a", "<|user|>\x00",
    *(f"<|end|>{c}x" for c in WHITE_SPACE), *(f"<|end|>{c}x" for c in NOT_WHITE_SPACE),
    "<|end|>" + WHITE_SPACE + "x", "</s>\u200b\n x",
]
BYTE = {b: 3 + b for b in range(256)}
EURO = [BYTE[b] for b in "€".encode()]
FACE = [BYTE[b] for b in "😀".encode()]
USER, END, ASSISTANT = BASE + 10, BASE + 7, BASE + 1


def decode_lists(encode):
    """Texts, partial and interrupted byte runs, ids without a token."""
    hello, word = encode("Hello there"), encode("fox")
    return [
        [], hello, word + word, encode(" two"), encode("  two"), encode(" "), [0], [1], [2], [1] + hello, hello + [2], [BASE],
        [USER] + hello + [END, ASSISTANT], [END] + word, word + [END], [USER, USER, END],
        EURO, EURO[:1], EURO[:2], EURO[1:], EURO + EURO[:2], EURO[:2] + word, word + EURO[:2] + word, FACE, FACE[:3], FACE + FACE,
        EURO[:1] + [END] + EURO[1:], EURO[:2] + [ROWS - 1] + EURO[2:], EURO[:2] + [2] + EURO[2:],
        [BYTE[0]], [BYTE[0x41], BYTE[0xFF]], [BYTE[0xFF], BYTE[0x41]], [BYTE[10], BYTE[10]], [BYTE[0x20]] + word,
        [BYTE[0xC0], BYTE[0x80]], [BYTE[b] for b in b"\xed\xa0\x80"], [BYTE[b] for b in b"\xf4\x90\x80\x80"],
        [BASE + 11], [ROWS - 1] + hello, hello + [ROWS] + word, [100000], hello + [0] + word,
    ]


def conversations():
    """Short ones written out, longer ones from the text generator."""
    user, assistant = demo_text.user, demo_text.assistant
    system = {"role": "system", "content": "You are a helpful assistant."}
    rng = random.Random(5)
    yield [user("Hello")]
    yield [user("  Hello  ")]
    yield [user("")]
    yield [user("\n\nWhat is this?\n\n")]
    yield [system, user("Who are you?")]
    yield [{"role": "system", "content": ""}, user("Who are you?")]
    yield [system]
    yield [user("Hello"), assistant("Hello! How can I help you today?"), user("Thanks!")]
    yield [user("one"), user("two")]
    yield [assistant("I begin.")]
    yield [{"role": "tool", "content": "ignored"}, user("Hi")]
    yield [user("Type <|end|> now"), assistant("<|user|> no")]
    yield [user("😀 ▁ \x00 é"), assistant("€")]
    yield []
    for _ in range(6):
        yield demo_text.chat(rng)


def main():
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))

    def encode(text):
        return tokenizer.encode(text).ids

    cases = {
        "encode": [{"text": t, "ids": encode(t)} for t in ENCODE],
        "decode": [{"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False),
                    "text_skip_special": tokenizer.decode(ids, skip_special_tokens=True)} for ids in decode_lists(encode)],
        "chat": [],
    }
    for i, messages in enumerate(conversations()):
        for reply in (True, False) if i < 3 else (i % 4 != 0,):
            text = phi3_folder.render(messages, reply)
            cases["chat"].append({"messages": messages, "add_generation_prompt": reply, "text": text, "ids": encode(text)})
    lines = [f"{json.dumps(kind)}: [\n" + ",\n".join(map(json.dumps, items)) + "\n]" for kind, items in cases.items()]
    (FOLDER / "tokenizer_cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "ascii")
    print({kind: len(items) for kind, items in cases.items()})


if __name__ == "__main__":
    main()
