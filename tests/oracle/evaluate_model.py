"""Log-probabilities of multiple-choice answers as qinsrun eval reports them, computed with transformers and tokenizers.
Shares no code with the engine; requests are built and cut the way EleutherAI's lm-evaluation-harness 0.4 describes:
continuation = tokens of the whole text beyond the context's, prompts too long lose their beginning.

    evaluate_model.py HF_DIR FILE.jsonl FORMAT [--examples FILE --shots N] [--bos ID] [--limit N]    print them (JSON)
    evaluate_model.py --golden [SHARED]    write ../data/tasks/figures.json, which tests/test_eval.c reads; SHARED is the
                                           folder with the public sets; without it their figures stay as they are
"""

import argparse
import json
from pathlib import Path

import numpy
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

DATA = Path(__file__).resolve().parent.parent / "data"


def ask(row, form, choice):
    """(context, continuation) of a choice."""
    if form in ("arc", "piqa"):
        return f"Question: {row['question']}\nAnswer:", f" {row['choices'][choice]}"
    if form == "openbookqa":
        return row["question"], f" {row['choices'][choice]}"
    if form == "hellaswag":
        return row["ctx"], f" {row['endings'][choice]}"
    if form == "mmlu":
        options = "".join(f"{letter}. {text}\n" for letter, text in zip("ABCDEFGHIJ", row["choices"]))
        return f"{row['question'].strip()}\n{options}Answer:", f" {'ABCDEFGHIJ'[choice]}"
    assert form == "winogrande"
    before, after = row["question"].split("_", 1)
    return before + row["choices"][choice], f" {after.strip()}"


def front(row, form, examples, shots):
    text = ""
    if form == "mmlu":
        subject = row["subject"].replace("_", " ")
        text = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    fitting = [example for example in examples if example.get("subject") == row.get("subject")]
    assert len(fitting) >= shots
    for example in fitting[:shots]:
        text += "".join(ask(example, form, example["answer"])) + "\n\n"
    return text


def encode_pair(tokenizer, context, continuation):
    stripped = context.rstrip()
    context, continuation = stripped, context[len(stripped):] + continuation

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    context_ids = encode(context)
    return context_ids, encode(context + continuation)[len(context_ids):]


def log_p(model, context, continuation):
    limit = model.config.max_position_embeddings
    ids = (context + continuation)[-(limit + 1):]
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]]), use_cache=False).logits[0].double().numpy()
    logits = logits[-len(continuation):]
    lse = numpy.log(numpy.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    return float((logits[numpy.arange(len(continuation)), continuation] - lse).sum())


def evaluate(folder, rows, form, examples, shots, bos):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    answers = []
    for row in rows:
        names = row["endings" if form == "hellaswag" else "choices"]
        right = row["label" if form == "hellaswag" else "answer"]
        values = []
        for choice in range(len(names)):
            context, continuation = ask(row, form, choice)
            pair = encode_pair(tokenizer, front(row, form, examples, shots) + context, continuation)
            values.append(log_p(model, ([] if bos is None else [bos]) + pair[0], pair[1]))
        lengths = [1 if form in ("mmlu", "winogrande") else len(name) for name in names]
        per_character = [value / length for value, length in zip(values, lengths)]
        answers.append({"answer": right, "pick": int(numpy.argmax(values)),
                        "pick_norm": int(numpy.argmax(per_character)), "log_p": [round(v, 6) for v in values]})
    hits = numpy.array([answer["pick"] == answer["answer"] for answer in answers], dtype=float)
    hits_norm = numpy.array([answer["pick_norm"] == answer["answer"] for answer in answers], dtype=float)
    return {"acc": hits.mean(), "acc_se": hits.std(ddof=1) / len(hits) ** 0.5,
            "acc_norm": hits_norm.mean(), "acc_norm_se": hits_norm.std(ddof=1) / len(hits) ** 0.5, "answers": answers}


def read_rows(path, limit=None):
    if path is None:
        return []
    return [json.loads(line) for line in Path(path).read_text().splitlines()[:limit]]


def case(base, folder, task, form, examples=None, shots=0, bos=None, limit=None):
    rows = read_rows(base / task, limit)
    figures = evaluate(base / folder, rows, form, read_rows(examples and base / examples), shots, bos)
    return {"model": folder, "task": task, "format": form, "examples": examples, "shots": shots, "bos": bos,
            "limit": limit, **figures}


def own_cases():
    names = ["arc_animals", "openbookqa_days", "piqa_kitchen", "winogrande_friends", "hellaswag_stories", "mmlu_facts"]
    cases = [case(DATA, "demo", f"tasks/{name}.jsonl", name.split("_")[0]) for name in names]
    cases.append(case(DATA, "demo", "tasks/mmlu_facts.jsonl", "mmlu", "tasks/mmlu_examples.jsonl", 2))
    cases.append(case(DATA, "demo", "tasks/arc_animals.jsonl", "arc", bos=1, limit=2))
    # 64 positions: every prompt is cut.
    cases.append(case(DATA, "tiny/plain-gqa-f32", "tasks/mmlu_facts.jsonl", "mmlu", "tasks/mmlu_examples.jsonl", 1))
    return cases


def shared_cases(shared):
    names = ["arc_easy_test", "arc_challenge_test", "hellaswag_val_1000", "openbookqa_test", "piqa_val",
             "winogrande_val", "mmlu_test_20"]
    folder = "models/stories260k-phi3-f32"
    cases = [case(shared, folder, f"eval/{name}.jsonl", name.split("_")[0], bos=1, limit=20) for name in names]
    cases.append(case(shared, folder, "eval/mmlu_test_20.jsonl", "mmlu", "eval/mmlu_dev.jsonl", 5, 1, 5))
    return cases


def write_golden(shared):
    path = DATA / "tasks" / "figures.json"
    cases = shared_cases(Path(shared)) if shared else json.loads(path.read_text())["shared"]
    path.write_text(json.dumps({"own": own_cases(), "shared": cases}).replace('{"model"', '\n{"model"') + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("model", nargs="?")
    parser.add_argument("task", nargs="?")
    parser.add_argument("format", nargs="?")
    parser.add_argument("--examples")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--bos", type=int)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    if arguments.golden:
        write_golden(arguments.model)
    else:
        print(json.dumps(case(Path(), arguments.model, arguments.task, arguments.format, arguments.examples,
                              arguments.shots, arguments.bos, arguments.limit)))


if __name__ == "__main__":
    main()
