"""Make tests/data/tiny/*: random checkpoints in Phi-3 layout, and golden.json for them and for the demo model.

    python make_goldens.py tiny [NAME...]   # write the tiny checkpoints again, with their golden.json
    python make_goldens.py demo             # golden.json of tests/data/demo, which train_demo.py made

The numbers are those of transformers in float32 with eager attention; README.md describes the fields.  Generation uses
transformers' own cache, and every step is compared here with a fresh forward over the whole sequence.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers.utils import logging as hf_logging

import demo_text
import phi3_folder

DATA = Path(__file__).resolve().parent.parent / "data"
TEXT_PIECES = ["▁▁", "he", "▁a", "▁▁▁▁", "▁", "a", "e", "h"]
TINY_BASE = len(phi3_folder.BYTE_PIECES) + len(TEXT_PIECES)
TINY_ROWS = 280                 # TINY_BASE + 11 chat tokens + 2 rows without a token
AGREEMENT = 5e-5                # cached against uncached logits in float32, logits of size 10

LONG = {"original": 16, "max_positions": 64}
TINY = {
    "plain-gqa-f32": dict(hidden=24, ffn=40, layers=2, heads=4, kv_heads=2, max_positions=64, dtype="float32"),
    "tied-bf16": dict(hidden=32, ffn=48, layers=2, heads=4, kv_heads=4, max_positions=64, dtype="bfloat16",
                      tie_word_embeddings=True),
    "partial-longrope-bf16": dict(hidden=32, ffn=56, layers=2, heads=4, kv_heads=1, dtype="bfloat16", **LONG,
                                  short=[1.0, 1.1, 1.3], long=[1.2, 2.0, 4.0], partial_rotary_factor=0.75),
    "longrope-su-bf16": dict(hidden=32, ffn=48, layers=2, heads=4, kv_heads=2, dtype="bfloat16", **LONG,
                             short=[1.0, 1.05, 1.1, 1.25], long=[1.1, 1.7, 2.9, 4.0]),
    "longrope-odd-f16": dict(hidden=30, ffn=42, layers=2, heads=3, kv_heads=1, dtype="float16", **LONG,
                             short=[1.0, 1.02, 1.1, 1.2, 1.4], long=[1.0, 1.4, 2.2, 3.1, 4.5]),
    "sharded-f16": dict(hidden=32, ffn=48, layers=3, heads=2, kv_heads=2, max_positions=64, dtype="float16"),
    "window-gqa-bf16": dict(hidden=32, ffn=48, layers=3, heads=4, kv_heads=2, max_positions=64, dtype="bfloat16",
                            sliding_window=9),
    "phi4-mini-bf16": dict(hidden=48, ffn=56, layers=2, heads=3, kv_heads=1, dtype="bfloat16", **LONG,
                           short=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], long=[1.0, 1.1, 1.4, 2.3, 3.9, 6.1],
                           partial_rotary_factor=0.75, tie_word_embeddings=True),
}


# ------------------------------------------------------------------------------------------------------ tiny checkpoints

def tiny_tensors(config, seed):
    """Random weights, wide enough that logits are far from uniform; norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, like in Phi3ForCausalLM(config).state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = torch.randn(like.shape, generator=generator)
        tensors[name] = (1 + 0.3 * values if like.dim() == 1 else 0.35 * values).to(config.dtype)
    return tensors


def save_sharded(tensors, folder):
    """Two shards.  Layer 1 straddles them: its o_proj is in the first, the rest of it in the second."""
    def first(name):
        return name.startswith(("model.embed_tokens", "model.layers.0.", "model.layers.1.self_attn.o_proj"))

    files = {name: f"model-{1 if first(name) else 2:05d}-of-00002.safetensors" for name in tensors}
    for file in sorted(set(files.values())):
        save_file({n: t for n, t in tensors.items() if files[n] == file}, folder / file, metadata={"format": "pt"})
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    phi3_folder.write_json(folder / "model.safetensors.index.json", {
        "metadata": {"total_size": size}, "weight_map": dict(sorted(files.items()))})


def make_tiny(name, shape, seed):
    folder = DATA / "tiny" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pieces = phi3_folder.BYTE_PIECES + TEXT_PIECES
    scores = {piece: -i for i, piece in enumerate(pieces)} | {"▁▁": -1e9, "▁▁▁▁": -1e9}
    phi3_folder.write_tokenizer(folder, pieces, phi3_folder.llama_merges(pieces, scores))
    phi3_folder.write_small_files(folder, TINY_BASE, shape["max_positions"])
    stored = phi3_folder.config(TINY_BASE, **shape, vocab_size=TINY_ROWS, initializer_range=0.35)
    phi3_folder.write_json(folder / "config.json", stored)

    tensors = tiny_tensors(Phi3Config.from_pretrained(folder), seed)
    if name.startswith("sharded"):
        save_sharded(tensors, folder)
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    golden = tiny_golden(load(folder), stored, name, torch.Generator().manual_seed(seed + 1000))
    write_golden(folder, golden)
    if "-su-" in name:      # the old spelling; transformers 5.23 itself refuses it
        stored["rope_scaling"]["type"] = "su"
        phi3_folder.write_json(folder / "config.json", stored)


# ---------------------------------------------------------------------------------------------------------------- numbers

def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def forward(model, ids):
    """Logits [n, vocab] of one forward call over the whole sequence, without a cache."""
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def rounded(row):
    return [round(x, 6) for x in row.tolist()]


def top(row, count=5):
    values, ids = row.topk(count)
    return [[i, round(v, 6)] for i, v in zip(ids.tolist(), values.tolist())]


def gap(row):
    values = row.topk(2).values
    return round((values[0] - values[1]).item(), 6)


def prompt_case(model, name, ids, positions, with_top=False):
    """One forward call over the whole prompt, so every row has the RoPE factors of the whole length."""
    logits = forward(model, ids)
    case = {"name": name, "ids": ids, "rows": [[p, rounded(logits[p])] for p in sorted(set(positions))]}
    if with_top:
        case["top"] = [[p, top(logits[p])] for p in range(len(ids))]
    return case


def generation_case(model, name, ids, new_tokens, full_lengths, stop=None):
    """Greedy generate() with its cache, each step checked against a forward over all tokens so far."""
    model.generation_config.eos_token_id = stop
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                         max_new_tokens=new_tokens, return_dict_in_generate=True, output_logits=True)
    sequence = out.sequences[0].tolist()
    case = {"name": name, "prompt": ids, "ids": sequence[len(ids):], "gap": [], "rows": [], "top": []}
    for step, logits in enumerate(out.logits):
        length = len(ids) + step
        off = (logits[0] - forward(model, sequence[:length])[-1]).abs().max().item()
        if off > AGREEMENT:
            raise SystemExit(f"{name}: cached logits differ by {off} from a fresh forward at {length} tokens")
        case["gap"].append(gap(logits[0]))
        case["top"].append(top(logits[0]))
        if length in full_lengths:
            case["rows"].append([step, rounded(logits[0])])
    return case


def golden_head(config, name):
    return {
        "model": name,
        "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}, float32, eager attention",
        "vocab_size": config["vocab_size"],
        "original": config["original_max_position_embeddings"] if config["rope_scaling"] else None,
    }


def write_golden(folder, golden):
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    gaps = [g for case in golden["generations"] + golden.get("chats", []) for g in case["gap"]]
    print(f"{golden['model']}: {(folder / 'golden.json').stat().st_size} bytes, smallest gap {min(gaps)}")


def tiny_golden(model, config, name, generator):
    def prompt(length):
        return torch.randint(0, TINY_ROWS, (length,), generator=generator).tolist()

    golden = golden_head(config, name)
    edge = golden["original"] or config["sliding_window"]   # up to it nothing special happens
    if edge:
        lengths = [edge - 1, edge, edge + 1, 2 * edge]
        golden["cases"] = [prompt_case(model, "one token", prompt(1), [0])]
        golden["cases"] += [prompt_case(model, f"{n} tokens in one forward", prompt(n), [n // 2, n - 1]) for n in lengths]
        around = {edge - 3, edge - 1, edge, edge + 1, edge + 2, edge + 9}
        golden["generations"] = [generation_case(model, "across the boundary", prompt(edge - 3), 13, around)]
    else:
        golden["cases"] = [prompt_case(model, f"{n} tokens", prompt(n), [0, n // 2, n - 1]) for n in (1, 7, 33)]
        golden["generations"] = [generation_case(model, "short prompt", prompt(5), 8, {5, 6, 12})]
    return golden


# ------------------------------------------------------------------------------------------------------------- demo model

QUESTIONS = [
    "What is the capital of France?", "What color is the sky?", "How many legs does a cat have?", "What is two plus three?",
    "Who are you?", "What do cows eat?", "What is the opposite of hot?", "Which day comes after Monday?",
    "What does a duck say?", "Where do bees live?", "How many days are in a week?",
]
CONVERSATIONS = [[demo_text.user(q)] for q in QUESTIONS] + [
    [{"role": "system", "content": "Answer with one word."}, demo_text.user("What is the capital of Japan?")],
    [demo_text.user("My name is Anna."), demo_text.assistant("Hello, Anna! How can I help you?"),
     demo_text.user("What is my name?")],
    [demo_text.user("What is the capital of Italy?"), demo_text.assistant("The capital of Italy is Rome."),
     demo_text.user("And of Spain?")],
]
STORY = [demo_text.user("Tell me a long story about a fox.")]


def demo_golden(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = load(folder)
    golden = golden_head(config, "demo")
    original = golden["original"]
    stop = json.loads((folder / "generation_config.json").read_text("utf-8"))["eos_token_id"]

    def chat_case(name, messages, new_tokens, full_lengths=()):
        ids = tokenizer.encode(phi3_folder.render(messages, True)).ids
        case = generation_case(model, name, ids, new_tokens, full_lengths, stop)
        reply = case["ids"][:-1] if case["ids"][-1] in stop else case["ids"]
        return {**case, "messages": messages, "text": tokenizer.decode(reply, skip_special_tokens=True)}

    golden["chats"] = []
    for messages in CONVERSATIONS:
        case = chat_case(messages[-1]["content"], messages, 40)
        golden["chats"].append({key: case[key] for key in ("name", "messages", "prompt", "ids", "text", "gap")})
    story = chat_case("long story across the boundary", STORY, 400)
    golden["chats"].append({key: story[key] for key in ("name", "messages", "prompt", "ids", "text", "gap")})

    tokens = 2 * (story["prompt"] + story["ids"])  # one telling may be shorter than twice the original length
    golden["cases"] = [prompt_case(model, f"{n} tokens of the story in one forward", tokens[:n], [n - 1], n == original + 1)
                       for n in (original - 1, original, original + 1, 2 * original)]
    around = {original - 3, original, original + 1, original + 9}
    golden["generations"] = [generation_case(model, "across the boundary", tokens[:original - 3], 16, around)]
    return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["tiny", "demo"])
    parser.add_argument("names", nargs="*", help="of tiny checkpoints (default: all)")
    torch.set_num_threads(1)
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    arguments = parser.parse_args()
    if arguments.what == "demo":
        write_golden(DATA / "demo", demo_golden(DATA / "demo"))
    else:
        for seed, (name, shape) in enumerate(TINY.items(), start=1):
            if not arguments.names or name in arguments.names:
                make_tiny(name, shape, seed)


if __name__ == "__main__":
    main()
