"""Which route is worth its cost on a task: bag of words, probe, LoRA, full training or training from scratch?

    python examples/decide.py TASK MODEL assessment.json src/tokenworth/decision/cells.csv --rate 3e14

Bag of words and probe are known from the assessment (of `tokenworth assess`, or of assess.py).  What training would
bring is predicted from the cells, finished runs on other tasks; what it would take is counted on the model without its
weights.  Who runs a route keeps the better of it and of what was measured; the advice is the next run that so pays.

    ln odds F1 = ln odds F1 of the probe + a line in (F1 of the probe, F1 of words); from random weights that of words
                 + a line in (F1 of words, F1 of the most frequent class, ln classes, ln texts, ln length)
    interval   = +- the 90 % quantile of the errors on cells whose task and model were left out
    kept       = mean of max(F1 with each of these errors, best F1 that was measured), tasks weighing alike

Predictions, costs of training and advice are those of `tokenworth decide` with packing: false on a card of this rate.
It also weighs memory, budgets and chances, and runs pilots.  How good it is: docs/results/decision.md.
Axes: N cells, F indicators, L texts, T tokens of a text.
"""

import argparse
import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.pytorch_utils import Conv1D

BATCH, RANK = 8, 32  # of the protocol
FORWARD_SHARE, TRAINING_SHARE, ATTENTION_WEIGHT = 0.8, 0.6, 1.4  # of the rate of products; of a FLOP's time
TASK = ("bow_f1", "majority_f1", "log_classes", "log_texts", "log_length")  # the first: what outcomes are seen against
KNOWN = {"lora": ("probe_f1", "bow_f1"), "full": ("probe_f1", "bow_f1"), "scratch": TASK}
RULES = {"lora": (0.6, 1e-4, 3e-3, 3), "full": (0.06, 2e-5, 1e-3, 3), "scratch": (0.2, 1e-4, 1e-3, 10)}
SECONDS_PER_STEP, SECONDS_PER_TENSOR = 0.01, 3e-4  # whatever is computed; for each tensor that learns
Row = dict[str, Any]


def main(task: Path, name: str, assessment: Path, cells: Path, rate: float, tolerance: float, out: Path | None) -> None:
    """What every route brings and takes, and which to run."""
    train, test = read(task / "train.csv"), read(task / "test.csv")
    said = json.loads(assessment.read_text("utf-8"))
    f1 = {key: row["f1"] for row in said["probes"] for key in (row["kind"], row["name"])}
    n_classes, bow_f1, probe_f1 = len({row["label"] for row in train}), f1["bow"], f1[said["confusion"]["probe"]]
    length = token_lengths(name, [row["text"] for row in train]).mean()
    here = {"probe_f1": probe_f1, "bow_f1": bow_f1, "majority_f1": f1["majority"], "log_length": math.log(length)}
    here |= {"log_classes": math.log(n_classes), "log_texts": math.log(len(train))}
    seconds = 5e-6 * sum(len(row["text"]) for row in train) * (1 + n_classes / 10)  # as 17 tasks took, roughly
    lengths_L = token_lengths(name, [row["text"] for row in train + test])
    options: list[Row] = [{"route": "bow", "f1": bow_f1, "seconds": seconds}]
    options += [{"route": "probe", "f1": probe_f1, "seconds": forward_flops(name, lengths_L) / FORWARD_SHARE / rate}]
    for route in RULES:
        runs = longest_runs(read(cells), route)
        cost = training_cost(name, route, runs, n_classes, np.split(lengths_L, [len(train)]), rate)
        options.append({"route": route} | predicted(runs, here, KNOWN[route]) | cost)
    options.sort(key=lambda option: -option["f1"])
    for option in options:
        option.setdefault("kept", option["f1"])
        interval = f" ({option['f1_low']:.3f} to {option['f1_high']:.3f})" if "f1_low" in option else ""
        print(f"{option['route']:8} {option['f1']:.3f}{interval}, {option['kept']:.3f} in {option['seconds']:.3g} s")
    chosen = advice(options, tolerance)
    print(f"run {chosen['route']}, and keep the better of it and what was measured: {chosen['kept']:.3f} is expected")
    if out:
        out.write_text(json.dumps({"options": options, "recommended": chosen}, indent=1))


def advice(options: list[Row], tolerance: float) -> Row:
    """What was measured, the run that leaves one with more, or a dearer one whose own expectation is beyond that."""
    options = sorted(options, key=lambda row: row["seconds"])
    best = max(row["f1"] for row in options if "f1_low" not in row)
    first = next(row for row in options if "f1_low" not in row and row["f1"] >= best - tolerance)
    pays = [row for row in options if "f1_low" in row and row["kept"] > first["f1"] + tolerance]
    soon = [row for row in pays if row["seconds"] <= 2 * pays[0]["seconds"]]
    first = min(soon, key=lambda row: row["f1_high"] - row["f1_low"], default=first)
    more = [row for row in options if row["f1"] > first["kept"] + tolerance]
    near = (row for row in more if row["f1"] >= max(row["f1"] for row in more) - tolerance)
    return next(near, first)


def read(path: Path) -> list[Row]:
    """Rows of a .csv file."""
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))


def longest_runs(cells: list[Row], route: str) -> list[Row]:
    """Of a route on each task and backbone the runs with the most steps, as numbers."""
    names = ("f1", "steps", *KNOWN[route])
    runs = [cell | {name: float(cell[name]) for name in names} for cell in cells if cell["route"] == route]
    most = {(run["task"], run["backbone"]): run["steps"] for run in sorted(runs, key=lambda run: run["steps"])}
    return [run for run in runs if run["steps"] == most[run["task"], run["backbone"]]]


def predicted(runs: list[Row], here: Row, known: tuple[str, ...]) -> dict[str, float]:
    """F1 with its 90 % interval: the line will meet a new task and model, so errors are those where both are out."""
    tasks, errors = Counter(run["task"] for run in runs), []  # errors of log odds beside their weight, 1 a task
    for run in runs:
        rest = [o for o in runs if o["task"] != run["task"] and o["backbone"] != run["backbone"]]
        odds = np.clip(fitted(rest, known)(run), log_odds(0), log_odds(1))
        errors += [(log_odds(run["f1"]) - odds, 1 / tasks[run["task"]])]
    error_N, weight_N = np.array(sorted(errors, key=lambda error: abs(error[0]))).T
    level = 0.9 * (len(tasks) + 1) / len(tasks)  # the task to come may be the worst: Dunn, Wasserman and Ramdas (2023)
    half = abs(error_N[np.searchsorted(weight_N.cumsum() / len(tasks), level - 1e-9)])
    odds, had = fitted(runs, known)(here), max(here["bow_f1"], here["probe_f1"])
    f1, f1_low, f1_high, *f1_N = (1 / (1 + np.exp(-odds - np.array([0, -half, half, *error_N])))).tolist()
    kept = float(np.average(np.maximum(f1_N, had), None, weight_N))
    return {"f1": f1, "f1_low": f1_low, "f1_high": f1_high, "kept": kept}


def fitted(runs: list[Row], known: tuple[str, ...], penalty: float = 10.0) -> Callable[[Row], float]:
    """Log odds of F1 as a function of a row: those of the reference + ridge on standard scores of indicators."""
    x_NF, tasks = np.array([indicators(run, known) for run in runs]), Counter(run["task"] for run in runs)
    move_N = np.array([log_odds(run["f1"]) - log_odds(run[known[0]]) for run in runs])
    weight_N = np.array([1 / tasks[run["task"]] for run in runs])  # tasks weigh alike, however many their runs
    mean_F, std_F = x_NF.mean(0), x_NF.std(0)
    z_NF = (x_NF - mean_F) / std_F
    middle_F, level = np.average(z_NF, 0, weight_N), np.average(move_N, None, weight_N)
    gram_FF = ((z_NF - middle_F).T * weight_N) @ (z_NF - middle_F) + penalty * np.eye(len(mean_F))
    slope_F = np.linalg.solve(gram_FF, (z_NF - middle_F).T @ (weight_N * (move_N - level))) / std_F
    return lambda row: log_odds(row[known[0]]) + level + (indicators(row, known) - mean_F - middle_F * std_F) @ slope_F


def indicators(row: Row, known: tuple[str, ...]) -> np.ndarray:
    """What the line reads."""
    return np.array([log_odds(row[name]) if name.endswith("_f1") else row[name] for name in known])


def log_odds(f1: float) -> float:
    """ln(F1 / (1 - F1)), F1 kept .005 away from 0 and 1."""
    kept = min(max(f1, 0.005), 0.995)
    return math.log(kept / (1 - kept))


def token_lengths(name: str, texts: list[str]) -> np.ndarray:
    """Tokens of each text; of many texts 2,000 stand for all."""
    tokenizer, places = AutoTokenizer.from_pretrained(name), np.random.default_rng(0).permutation(len(texts))[:2000]
    ids = tokenizer([texts[place] for place in places], verbose=False)["input_ids"]
    return np.resize([min(len(text), tokenizer.model_max_length) for text in ids], len(texts))


def forward_flops(name: str, lengths_L: np.ndarray) -> float:
    """Of all texts; a causal model needs half of the pairs of tokens."""
    model, usual = without_weights(name, "probe"), round(float(lengths_L.mean()))
    token, pair, _ = counted(model, nn.Identity(), usual)[0]
    is_causal = any(getattr(module, "is_causal", False) for module in model.modules())
    return float(lengths_L.sum() * (token + pair * usual * (0.5 if is_causal else 1)))


def training_cost(name: str, route: str, runs: list[Row], n_classes: int, parts: list[np.ndarray], rate: float) -> Row:
    """Of batches as the run will draw and pad them, and of reading test texts and 500 training texts at the end."""
    model, (train_L, test_L) = without_weights(name, route), parts
    head = nn.Linear(2 * model.config.hidden_size, n_classes, device="meta")
    factor, low, high, passes = RULES[route]  # of adapt, with no more steps than a run had that predictions hold for
    lr = float(f"{min(high, max(low, factor / model.config.hidden_size)):.1e}")
    steps = min(int(max(run["steps"] for run in runs)), 10_000, max(200, math.ceil(passes * len(train_L) / BATCH)))
    (token, pair, _), (a, b, c) = counted(model, head, round(float(train_L.mean())))
    order = (row for number in count() for row in np.random.default_rng([0, number]).permutation(len(train_L)))
    batch, drawn = min(BATCH, len(train_L)), min(steps, 300)
    longest_S = np.array([train_L[list(islice(order, batch))].max() for _ in range(drawn)], dtype=float)
    linear, pairs = (float(batch * x.sum() * steps / drawn) for x in (a * longest_S + c, b * longest_S**2))
    read_L = np.concatenate([test_L, train_L[:500]]).astype(float)
    evaluated = float((token * read_L + pair * read_L**2).sum())
    tensors = sum(weights.requires_grad for weights in model.parameters())
    seconds = (linear + ATTENTION_WEIGHT * pairs + evaluated) / (TRAINING_SHARE * rate)
    seconds += steps * (SECONDS_PER_STEP + SECONDS_PER_TENSOR * tensors)
    return {"flops": linear + pairs + evaluated, "seconds": seconds, "steps": steps, "lr": lr}


def without_weights(name: str, route: str) -> nn.Module:
    """The base model, shapes alone; for lora frozen, with two thin matrices beside every linear map."""
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.from_pretrained(name)).eval().requires_grad_(route != "lora")
        model.pooler = None  # of encoders: a last map that the head would not read
        for module in list(model.modules()) if route == "lora" else []:
            if isinstance(module, nn.Linear | Conv1D):
                n_in, n_out = module.weight.shape if isinstance(module, Conv1D) else module.weight.T.shape
                module.lora = nn.Sequential(nn.Linear(n_in, RANK, bias=False), nn.Linear(RANK, n_out, bias=False))
                module.register_forward_hook(lambda module, inputs, output: output + module.lora(inputs[0]))
    return model


def counted(model: nn.Module, head: nn.Module, usual: int) -> np.ndarray:
    """FLOPs of a text of T tokens are a T + b T^2 + c: (a, b, c) of the forward pass, and with the backward pass."""
    lengths, counts = [max(usual, 8) // 2, max(usual, 8), max(usual, 8) * 3 // 2], []
    for t in lengths:
        inputs = {"input_ids": torch.ones(1, t, dtype=torch.long), "attention_mask": torch.ones(1, 1, t, t).bool()}
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            states_1TD = model(**{k: x.to("meta") for k, x in inputs.items()}, use_cache=False).last_hidden_state
            total = head(states_1TD.mean(1).repeat(1, 2)).sum()
            forward = counter.get_total_flops()
            total.backward()
        counts.append((forward, counter.get_total_flops()))
    return np.linalg.solve([[t, t**2, 1.0] for t in lengths], np.array(counts, dtype=float)).T


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for option, kind in (("task", Path), ("name", str), ("assessment", Path), ("cells", Path)):
        parser.add_argument(option, type=kind)
    parser.add_argument("--rate", type=float, required=True, help="matrix products of the machine, FLOP/s")
    parser.add_argument("--tolerance", type=float, default=0.01, help="F1 that may be lost for a lower cost")
    parser.add_argument("--out", type=Path)
    main(**vars(parser.parse_args()))
