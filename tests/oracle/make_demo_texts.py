"""Texts in the demo model's language that it was not trained on: one to calibrate with, another one to measure with.

    python make_demo_texts.py

Writes ../data/demo/calibration.txt and ../data/demo/held_out.txt: whole documents of demo_text.py, chats with their
markers, from two seeds that train_demo.py does not use.
"""

import random
from pathlib import Path

import demo_text

DEMO = Path(__file__).resolve().parent.parent / "data" / "demo"


def render(kind, body):
    text = "".join(f"<|{m['role']}|>\n{m['content']}<|end|>\n" for m in body) if kind == "chat" else body
    return text + "<|endoftext|>"


def write(name, seed, size):
    rng, documents, length = random.Random(seed), [], 0
    while length < size:
        documents.append(render(*demo_text.document(rng)))
        length += len(documents[-1])
    (DEMO / name).write_text("".join(documents), encoding="utf-8")


if __name__ == "__main__":
    write("calibration.txt", 777, 40000)
    write("held_out.txt", 778, 16000)
