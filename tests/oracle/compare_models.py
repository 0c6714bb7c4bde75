"""What qinsrun compare reports, computed with transformers: the model's and the reference's logits in float32, sums in
float64.  Shares no code with the engine; a .qins file is decoded by qins_format.py, the second reader.

    compare_models.py MODEL REF IDS.i32 --window N [--bos ID] [--greedy N --prompts N]    print the figures (JSON)
    compare_models.py --golden                      write ../data/compare.json, which tests/test_compare.c reads

MODEL is a Hugging Face folder, or a .qins file made from the folder REF.  Keys and values are not coded here: compare
with `--kv-k f32 --kv-v f32`.
"""

import argparse
import json
import math
from pathlib import Path

import numpy
import torch
from transformers import AutoModelForCausalLM

from qins_format import QinsFile

DATA = Path(__file__).resolve().parent.parent / "data"


def load_folder(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def load(path, folder):
    """The model of a folder, with the weights of a .qins file if `path` is one."""
    if Path(path).is_dir():
        return load_folder(path)
    model = load_folder(folder)
    qins = QinsFile(Path(path).read_bytes())
    parameters = dict(model.named_parameters())
    for name, tensor in qins.tensors.items():
        values = numpy.array(list(qins.rows(tensor).decode(0, tensor["rows"])), dtype=numpy.float32)
        with torch.no_grad():
            parameters[name].copy_(torch.from_numpy(values.reshape(parameters[name].shape)))
    return model


def logits_of(model, ids):
    """[n, vocab] of one forward call over the whole sequence."""
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0].double().numpy()


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(axis=-1, keepdims=True))


def cut(ids, size, bos):
    """Consecutive windows; one with nothing to predict is left out."""
    front = [] if bos is None else [bos]
    block = size - len(front)
    windows = [front + ids[at:at + block] for at in range(0, len(ids), block)]
    return [window for window in windows if len(window) >= 2]


def standard_error(values):
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def nearest_rank(values, share):
    return float(numpy.sort(values)[math.ceil(share * len(values)) - 1])


def compare_windows(model, reference, windows):
    kld, places, same, log_p, log_ref = [], [], [], [], []
    for number, window in enumerate(windows):
        ours, theirs = (log_softmax(logits_of(m, window)) for m in (model, reference))
        kld.extend((numpy.exp(theirs) * (theirs - ours)).sum(axis=-1))
        same.extend(theirs.argmax(axis=-1) == ours.argmax(axis=-1))
        places.extend((number, index, token) for index, token in enumerate(window))
        for index, token in enumerate(window[1:]):
            log_p.append(ours[index, token])
            log_ref.append(theirs[index, token])
    kld, log_p, log_ref = numpy.array(kld), numpy.array(log_p), numpy.array(log_ref)
    worst = int(kld.argmax())
    by_position = {}
    for (_, index, _), value in zip(places, kld):
        by_position.setdefault(index, []).append(value)
    ratio = math.exp((log_ref - log_p).mean())
    return {
        "kld": {"mean": float(kld.mean()), "mean_se": standard_error(kld), "median": nearest_rank(kld, 0.5),
                "p90": nearest_rank(kld, 0.9), "p99": nearest_rank(kld, 0.99), "p99_9": nearest_rank(kld, 0.999),
                "max": float(kld[worst]), "max_at": dict(zip(("window", "index", "token"), places[worst]))},
        "same_top": float(numpy.mean(same)),
        "rms_p_change": float(numpy.sqrt(((numpy.exp(log_p) - numpy.exp(log_ref)) ** 2).mean())),
        "ppl": math.exp(-log_p.mean()), "ref_ppl": math.exp(-log_ref.mean()),
        "ppl_ratio": ratio, "ppl_ratio_se": ratio * standard_error(log_ref - log_p),
        "positions": len(kld), "predicted": len(log_p),
        "kld_by_position": {"step": 1, "mean": [float(numpy.mean(by_position[i])) for i in sorted(by_position)]},
    }


def greedy_text(model, prompt, steps):
    """Every step is a fresh forward over the sequence so far, so LongRoPE's factors are those of its length."""
    ids = list(prompt)
    for _ in range(steps):
        ids.append(int(logits_of(model, ids)[-1].argmax()))
    return ids


def compare_greedy(model, reference, windows, steps):
    prompts = []
    for number, window in enumerate(windows):
        prompt = window[:(len(window) + 1) // 2]
        theirs, own = (greedy_text(m, prompt, steps)[len(prompt):] for m in (reference, model))
        forced = [int(logits_of(model, prompt + theirs[:i])[-1].argmax()) == theirs[i] for i in range(steps)]
        equal = [a == b for a, b in zip(own, theirs)]
        first = equal.index(False) if False in equal else steps
        row = logits_of(reference, prompt + theirs[:first])[-1] if first < steps else None
        prompts.append({"window": number, "tokens": len(prompt), "teacher_forced": sum(forced) / steps,
                        "free_running": sum(equal) / steps, "first_difference": first,
                        "gap": 0.0 if row is None else float(row[theirs[first]] - row[own[first]])})

    def mean(key):
        return sum(prompt[key] for prompt in prompts) / len(prompts)

    return {"steps": steps, "teacher_forced": mean("teacher_forced"), "free_running": mean("free_running"),
            "first_difference": mean("first_difference"),
            "same_texts": sum(prompt["first_difference"] == steps for prompt in prompts), "prompts": prompts}


def figures(model, reference, ids, size, bos, steps, n_prompts):
    windows = cut(ids, size, bos)
    result = compare_windows(model, reference, windows)
    if steps > 0:
        result["greedy"] = compare_greedy(model, reference, windows[:n_prompts], steps)
    return result


def write_golden():
    """Two random checkpoints with the same vocabulary: no encoder has a part in it, and every figure is far from 0."""
    model, reference = "tiny/tied-bf16", "tiny/plain-gqa-f32"
    ids = numpy.random.default_rng(9).integers(0, 278, 200).tolist()
    golden = {"model": model, "ref": reference, "ids": ids, "window": 32, "bos": 1, "greedy": 20, "prompts": 3}
    golden["figures"] = figures(load_folder(DATA / model), load_folder(DATA / reference), ids, 32, 1, 20, 3)
    (DATA / "compare.json").write_text(json.dumps(golden) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("model", nargs="?")
    parser.add_argument("ref", nargs="?")
    parser.add_argument("ids", nargs="?")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--bos", type=int)
    parser.add_argument("--greedy", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.golden:
        write_golden()
        return
    ids = numpy.fromfile(arguments.ids, dtype="<i4").tolist()
    model, reference = load(arguments.model, arguments.ref), load_folder(arguments.ref)
    print(json.dumps(figures(model, reference, ids, arguments.window, arguments.bos, arguments.greedy,
                             arguments.prompts)))


if __name__ == "__main__":
    main()
