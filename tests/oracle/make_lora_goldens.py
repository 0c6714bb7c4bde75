#!/usr/bin/env python3
"""LoRA adapters as peft saves them, and the tensors that a merge gives: tests/data/lora.

`fused` is for Phi3ForCausalLM, with patterns of rank and alpha; `split` for the same model as LlamaForCausalLM, in BF16,
with rsLoRA. merged.safetensors has the base model's tensors (tests/data/tiny/plain-gqa-f32) with W + scale B A summed in
double precision in the order of the ranks and rounded once, as the converter does it; peft's own merge must agree."""
import copy, json, math, os, shutil
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Phi3ForCausalLM

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE, OUT = f"{TESTS}/data/tiny/plain-gqa-f32", f"{TESTS}/data/lora"
Q, KV, FFN = 24, 12, 40  # rows

# Where the parts of a tensor begin.
PARTS = {"qkv_proj": {"q_proj": 0, "k_proj": Q, "v_proj": Q + KV}, "gate_up_proj": {"gate_proj": 0, "up_proj": FFN}}


def as_llama(phi):
    """The same model with the tensors apart."""
    config = LlamaConfig(**{k: v for k, v in json.load(open(f"{BASE}/config.json")).items()
                            if k not in ("architectures", "model_type", "rope_scaling", "torch_dtype")})
    tensors = {}
    for name, w in phi.state_dict().items():
        if "qkv_proj" in name:
            q, k, v = w.split([Q, KV, KV])
            tensors |= {name.replace("qkv_proj", p): x for p, x in (("q_proj", q), ("k_proj", k), ("v_proj", v))}
        elif "gate_up_proj" in name:
            gate, up = w.split([FFN, FFN])
            tensors |= {name.replace("gate_up_proj", p): x for p, x in (("gate_proj", gate), ("up_proj", up))}
        else:
            tensors[name] = w
    llama = LlamaForCausalLM(config).eval()
    llama.load_state_dict(tensors)
    ids = torch.arange(20)[None]
    assert torch.allclose(phi(ids).logits, llama(ids).logits, atol=1e-4)
    return llama


def adapter(model, folder, dtype, **settings):
    """A random adapter, saved by peft, and the model that peft merges of it."""
    torch.manual_seed(len(folder))
    peft = get_peft_model(copy.deepcopy(model), LoraConfig(**settings))
    for name, w in peft.named_parameters():
        if "lora_" in name:
            w.data = (0.25 * torch.randn_like(w)).to(dtype)
    shutil.rmtree(folder, ignore_errors=True)
    peft.save_pretrained(folder)
    os.remove(f"{folder}/README.md")
    config = json.load(open(f"{folder}/adapter_config.json"))
    config["base_model_name_or_path"] = "tests/data/tiny/plain-gqa-f32"
    json.dump(config, open(f"{folder}/adapter_config.json", "w"), indent=1)
    fresh = PeftModel.from_pretrained(copy.deepcopy(model), folder, autocast_adapter_dtype=True)
    scales = {name.removeprefix("base_model.model."): module.scaling["default"]
              for name, module in fresh.named_modules() if isinstance(getattr(module, "scaling", None), dict)}
    return fresh.merge_and_unload().state_dict(), scales


def merged(base, folder, scales):
    """base + scale B A, module by module."""
    tensors = {name: w.numpy().copy() for name, w in base.items()}
    weights = {name.removeprefix("base_model.model."): w.float().numpy().astype(np.float64)
               for name, w in load_file(f"{folder}/adapter_model.safetensors").items()}
    for module, scale in scales.items():
        a, b = weights[f"{module}.lora_A.weight"], weights[f"{module}.lora_B.weight"]
        update = np.zeros((b.shape[0], a.shape[1]))
        for k in range(a.shape[0]):
            update += b[:, k : k + 1] * a[k][None]
        whole, first = module, 0
        for name, parts in PARTS.items():
            for part, row in parts.items():
                if module.endswith(part) and not module.endswith(name):
                    whole, first = module.replace(part, name), row
        w = tensors[f"{whole}.weight"]
        rows = slice(first, first + b.shape[0])
        w[rows] = (w[rows].astype(np.float64) + scale * update).astype(np.float32)
    return tensors


def check(tensors, state):
    """Against what peft merged, which may have the tensors apart."""
    for name, w in state.items():
        first = 0
        for whole, parts in PARTS.items():
            for part, row in parts.items():
                if part in name and whole not in name:
                    name, first = name.replace(part, whole), row
        ours = tensors[name][first : first + w.shape[0]]
        assert np.abs(ours - w.numpy()).max() < 2e-6, name


phi = Phi3ForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
base = load_file(f"{BASE}/model.safetensors")
for name, model, dtype, settings in (
    ("fused", phi, torch.float32,
     dict(r=4, lora_alpha=10, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"],
          rank_pattern={"layers.1.self_attn.qkv_proj": 7, "down_proj": 2},
          alpha_pattern={r"^model\.layers\.0\.mlp.*": 3, "o_proj|lm_head": 5.5})),
    ("split", as_llama(phi), torch.bfloat16,
     dict(r=6, lora_alpha=7, use_rslora=True, layers_to_transform=[1],
          target_modules=["q_proj", "v_proj", "up_proj", "down_proj"], rank_pattern={"v_proj": 3}))):
    state, scales = adapter(model, f"{OUT}/{name}", dtype, **settings)
    tensors = merged(base, f"{OUT}/{name}", scales)
    check(tensors, state)
    save_file({k: torch.from_numpy(v) for k, v in tensors.items()}, f"{OUT}/{name}/merged.safetensors")
    print(name, {round(s, 4) for s in scales.values()}, len(scales), "modules")
