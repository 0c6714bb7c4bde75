"""Train the demo model: tests/data/demo, a complete Hugging Face folder in Phi-3 layout.

    python train_demo.py [--steps N] [--threads N] [--out DIR] [--log FILE]

Makes the tokenizer from the text of demo_text.py, trains transformers' own Phi3ForCausalLM in float32, stores the
weights as BF16, then asks the stored model every question of demo_text.py and logs how many replies are right.
Seeds are fixed; another CPU or number of threads rounds differently and gives slightly different weights.
"""

import argparse
import collections
import math
import random
import re
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers.utils import logging as hf_logging

import demo_text
import phi3_folder

SEED = 20
BASE = 768                      # text vocabulary; 832 embedding rows
ORIGINAL, MAXIMUM = 128, 512    # tokens
SHORT_FACTOR = [1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4]
LONG_FACTOR = [1.0, 1.1, 1.3, 1.6, 2.0, 2.6, 3.2, 4.0]
SHORT_ROWS, LONG_ROWS = 64, 6   # documents a step, up to and beyond ORIGINAL tokens
POOL = 20000                    # documents drawn at once
PEAK_RATE, WARMUP = 4e-3, 200
IGNORED = -100                  # label of a token that is not trained on
SAMPLES = ["What is the capital of France?", "What color is the sky?", "How many legs does a cat have?",
           "What is two plus three?", "Who are you?", "Tell me a story about a fox.", "What do cows eat?",
           "What is the opposite of hot?", "Tell me a long story about a bear."]


# ------------------------------------------------------------------------------------------------------------ tokenizer

def plain_texts(rng, count):
    """Documents as the segments of plain text that BPE sees."""
    for _ in range(count):
        kind, body = demo_text.document(rng)
        yield from ([m["content"] for m in body] if kind == "chat" else [body])


def train_pieces():
    """Byte pieces, runs of spaces, merged pieces in merge order, single characters: the order of Phi-3.5's vocabulary."""
    words = collections.Counter()
    for text in plain_texts(random.Random(SEED), 30000):
        words.update(re.findall(r"▁?[A-Za-z]+|▁?[0-9]|▁?[^A-Za-z0-9▁]|▁", "▁" + text.replace(" ", "▁")))
    characters = ["▁"] + [chr(c) for c in range(33, 127)] + ["é", "ü", "’"]
    spaces = ["▁" * n for n in (2, 4, 8)]
    merged = []
    split = {word: tuple(word) for word in words}
    while len(merged) < BASE - len(phi3_folder.BYTE_PIECES) - len(spaces) - len(characters):
        pairs = collections.Counter()
        for word, symbols in split.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += words[word]
        left, right = max((p for p in pairs if "\n" not in p), key=lambda p: (pairs[p], p))
        if left + right not in merged:
            merged.append(left + right)
        split = {word: merge(symbols, left, right) for word, symbols in split.items()}
    pieces = phi3_folder.BYTE_PIECES + spaces + merged + characters
    scores = {piece: -i for i, piece in enumerate(pieces)} | {run: -1e9 for run in spaces}
    return pieces, phi3_folder.llama_merges(pieces, scores)


def merge(symbols, left, right):
    out = []
    for symbol in symbols:
        if out and out[-1] == left and symbol == right:
            out[-1] = left + right
        else:
            out.append(symbol)
    return tuple(out)


# ---------------------------------------------------------------------------------------------------------------- batches

def encode_document(rng, tokenizer):
    """Ids and labels.  Of a chat only replies (to their <|end|>) and the last <|endoftext|> are trained on."""
    kind, body = demo_text.document(rng)
    if kind == "text":
        if rng.random() < 0.3:
            body = body[rng.choice([m.end() for m in re.finditer(r"[.!?]\s+", body)]):]
        ids = [1] * (rng.random() < 0.5) + tokenizer.encode(body).ids + [BASE]
        return ids, ids
    ids = tokenizer.encode(phi3_folder.render(body, False)).ids
    labels, reply = [], False
    for token in ids:
        labels.append(token if reply or token == BASE else IGNORED)
        reply = token == BASE + 1 or (reply and token != BASE + 7)
    return ids, labels


def pack(documents):
    """One document a row, positions from 0, padded at the end."""
    width = max(len(ids) for ids, _ in documents)
    ids = torch.full((len(documents), width), BASE)
    labels = torch.full((len(documents), width), IGNORED)
    for row, (i, l) in enumerate(documents):
        ids[row, :len(i)], labels[row, :len(i)] = torch.tensor(i), torch.tensor(l)
    return ids, labels


def batches(rng, tokenizer):
    """Endless (short, long) pairs.  RoPE switches by the length of a batch, so no batch mixes the two kinds; beginnings of
    long documents are trained with the short factors as well."""
    while True:
        short, long = [], []
        for _ in range(POOL):
            ids, labels = encode_document(rng, tokenizer)
            short.append((ids[:ORIGINAL], labels[:ORIGINAL]))
            if len(ids) > ORIGINAL:
                long.append((ids[:MAXIMUM], labels[:MAXIMUM]))
        yield from zip(by_length(rng, short, SHORT_ROWS), by_length(rng, long, LONG_ROWS))


def by_length(rng, documents, rows):
    """Batches of documents of similar length, in random order."""
    rng.shuffle(documents)
    out = []
    for start in range(0, len(documents), 32 * rows):
        group = sorted(documents[start:start + 32 * rows], key=lambda d: len(d[0]))
        out += [group[i:i + rows] for i in range(0, len(group), rows)]
    rng.shuffle(out)
    return [pack(b) for b in out]


# --------------------------------------------------------------------------------------------------------------- training

def train(model, stream, steps, log):
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                  lr=PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(
        (s + 1) / WARMUP, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * s / steps))))
    model.train()
    start, tokens, sums = time.time(), 0, [0.0, 0.0]
    for step in range(1, steps + 1):
        for i, (ids, labels) in enumerate(next(stream)):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
            loss.backward()
            sums[i] += loss.item()
            tokens += ids.numel()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            log(f"step {step}/{steps}  loss up to {ORIGINAL} tokens {sums[0] / 100:.4f}, beyond {sums[1] / 100:.4f}  "
                f"{tokens / 1e6:.2f} M tokens  {time.time() - start:.0f} s")
            sums = [0.0, 0.0]


def save(model, folder):
    tensors = {name: t.detach().to(torch.bfloat16).contiguous() for name, t in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# ------------------------------------------------------------------------------------------------------------- evaluation

def replies(model, tokenizer, prompts, new_tokens=40):
    """Greedy replies; prompts of equal length share a batch, so nothing is padded."""
    encoded = [tokenizer.encode(phi3_folder.render(p, True)).ids for p in prompts]
    groups = collections.defaultdict(list)
    for i, ids in enumerate(encoded):
        groups[len(ids)].append(i)
    out = [None] * len(prompts)
    for length, members in groups.items():
        result = model.generate(torch.tensor([encoded[i] for i in members]), do_sample=False, max_new_tokens=new_tokens)
        for i, row in zip(members, result[:, length:].tolist()):
            ended = BASE + 7 in row
            text = tokenizer.decode(row[:row.index(BASE + 7)] if ended else row, skip_special_tokens=False)
            out[i] = text if ended else text + " ..."
    return out


def evaluate(folder, tokenizer, log):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    asked = [(entry, q) for entry in demo_text.FACTS for q in entry["questions"]]
    answers = replies(model, tokenizer, [[demo_text.user(q)] for _, q in asked])
    for name, wanted in (("trained", False), ("held-out", True)):
        chosen = [(e, q, a) for (e, q), a in zip(asked, answers)
                  if (q not in demo_text.trained_wordings(e)) == wanted]
        wrong = [(q, a) for e, q, a in chosen if a != e["answer"]]
        log(f"{name} wordings: {len(chosen) - len(wrong)} of {len(chosen)} answered word for word")
        for q, a in wrong[:12]:
            log(f"    {q!r} -> {a!r}")
    for question, answer in zip(SAMPLES, replies(model, tokenizer, [[demo_text.user(q)] for q in SAMPLES], 400)):
        log(f"> {question}\n{answer}")
    ids = tokenizer.encode("Once upon a time").ids
    result = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=400)[0].tolist()
    log(f"raw completion:\n{tokenizer.decode(result)}")


def main():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=here.parent / "data" / "demo")
    parser.add_argument("--log", type=Path, default=here / "demo_training.log")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    hf_logging.set_verbosity_error()
    log_file = args.log.open("w", encoding="utf-8")

    def log(line):
        print(line, flush=True)
        print(line, file=log_file, flush=True)

    pieces, merges = train_pieces()
    phi3_folder.write_tokenizer(args.out, pieces, merges)
    phi3_folder.write_small_files(args.out, BASE, MAXIMUM)
    phi3_folder.write_json(args.out / "config.json", phi3_folder.config(
        BASE, hidden=96, ffn=192, layers=5, heads=6, kv_heads=3, max_positions=MAXIMUM, dtype="bfloat16",
        original=ORIGINAL, short=SHORT_FACTOR, long=LONG_FACTOR, initializer_range=0.05))
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))

    model = Phi3ForCausalLM(Phi3Config.from_pretrained(args.out))
    log(f"torch {torch.__version__}, seed {SEED}, {args.threads} threads, {args.steps} steps of {SHORT_ROWS} + {LONG_ROWS} "
        f"documents, {sum(p.numel() for p in model.parameters())} parameters, {len(merges)} merges")
    train(model, batches(random.Random(SEED + 1), tokenizer), args.steps, log)
    save(model, args.out)
    evaluate(args.out, tokenizer, log)


if __name__ == "__main__":
    main()
