"""What is common to every Phi-3-layout folder made here: tokenizer.json, the small JSON files, reading them back.

A library for train_demo.py and make_goldens.py; nothing to run.

`base` is the vocabulary without added tokens: <unk>, <s>, </s>, the 256 byte pieces, then text pieces.  The eleven chat
tokens follow at ids base..base+10, and the embedding has base+64 rows, as in Phi-3.5 (base 32000, 32064 rows).
"""

import functools
import json
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

CHAT_TOKENS = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>",
               "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
BYTE_PIECES = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}")


def write_json(path, value, indent=2):
    Path(path).write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def llama_merges(pieces, scores):
    """Phi-3.5's merge list as a function of the pieces: every split of a piece into two pieces, best score first."""
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece in pieces[len(BYTE_PIECES):]:
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if piece[:k] in ids and piece[k:] in ids]
        merges += [(scores[piece], split) for split in sorted(splits, key=lambda s: (ids[s[0]], ids[s[1]]))]
    merges.sort(key=lambda m: -m[0])
    return [" ".join(split) for _, split in merges]


def added_token(token_id, content, rstrip, special):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": rstrip,
            "normalized": False, "special": special}


def added_tokens(base):
    tokens = [added_token(0, "<unk>", False, True), added_token(1, "<s>", False, True), added_token(2, "</s>", True, False)]
    return tokens + [added_token(base + i, name, i > 0, True) for i, name in enumerate(CHAT_TOKENS)]


def write_tokenizer(folder, pieces, merges):
    """tokenizer.json, structured as Phi-3.5's."""
    write_json(Path(folder) / "tokenizer.json", {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(len(pieces)),
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": merges},
    })


def write_small_files(folder, base, max_positions):
    """tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json."""
    folder = Path(folder)
    flags = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    special = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    write_json(folder / "tokenizer_config.json", {
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": {str(t["id"]): {k: t[k] for k in flags} for t in added_tokens(base)},
        "bos_token": "<s>",
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>",
        "legacy": False,
        "model_max_length": max_positions,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    })
    names = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"}
    write_json(folder / "special_tokens_map.json", {k: {"content": v, **special} for k, v in names.items()})
    write_json(folder / "added_tokens.json", {name: base + i for i, name in enumerate(CHAT_TOKENS)})
    write_json(folder / "generation_config.json", {
        "_from_model_config": True, "bos_token_id": 1, "eos_token_id": [base + 7, base + 1, base], "pad_token_id": base,
    })


def config(base, hidden, ffn, layers, heads, kv_heads, max_positions, dtype, original=None, short=None, long=None,
           rope_type="longrope", **extra):
    """config.json as Phi-3.5 writes it (`rope_scaling`, not the newer `rope_parameters`)."""
    values = {
        "architectures": ["Phi3ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": base,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": ffn,
        "max_position_embeddings": max_positions,
        "model_type": "phi3",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "original_max_position_embeddings": original or max_positions,
        "pad_token_id": base,
        "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"long_factor": long, "short_factor": short, "type": rope_type} if original else None,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
        "use_cache": True,
        "vocab_size": base + 64,
    }
    return values | extra


@functools.cache
def compiled_template():
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE)


def render(messages, add_generation_prompt):
    """The chat template, rendered by the template engine that transformers uses."""
    return compiled_template().render(messages=messages, add_generation_prompt=add_generation_prompt,
                                      eos_token="<|endoftext|>")
