"""Indicators that others found to tell what fine-tuning brings, for docs/results/worth.md: three of a task and a model.

    python bench/worth_indicators.py --data TASKS --models FOLDER       # then: python bench/worth.py

At most 600 training texts, cut at 128 tokens, as study worth-real has them; no test text is read.

few_f1    weighted F1 of a logistic read-out of FEW texts a class on the others, mean over DRAWS draws: a probe's
          answer to k-shot accuracy (Zeng et al. 2025, arXiv:2504.12491).
cos_low   mean cosine of the loss's gradients of the texts that this read-out is least sure of (Je & Raffel 2025,
          arXiv:2512.24991), by the weights of the read-out, where it is in closed form:
          g = (p - y) h,   cos(g, g') = cos(p - y, p' - y') cos(h, h')
span_nll  nats a token of spans that were cut out, given the text with gaps and the spans before (Zeng et al.): SHARE of
          the tokens in spans of SPAN, of TEXTS texts; decoders alone.
span_gain nll of the same tokens where they stood, less span_nll: what the text behind a gap tells.

Features: mean of normalised states at two thirds of the depth.  Axes: N texts, D coordinates, C classes, T tokens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from suggest import pooled
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.float32_products import float32_products
from tokenworth.encode import tokenise
from tokenworth.errors import BackboneError
from tokenworth.probes.logistic import unit_logistic
from tokenworth.probes.probability_metrics import metric_value, softmax
from tokenworth.tasks import load_task

FILE = Path(__file__).parents[1] / "docs" / "results" / "worth_indicators.csv"
COLUMNS = ("few_f1", "cos_low", "span_nll", "span_gain")
MAX_TEXTS, LENGTH = 600, 128
FEW, DRAWS, UNSURE = 8, 3, 64
TEXTS, SHARE, SPAN = 60, 0.15, 3
_GAP = " ..."


def main() -> None:
    """One row a model and a task, those that are there are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--names", nargs="+", default=["all-minilm-l6-v2", "smollm2-135m", "gemma3-270m"])
    parser.add_argument("--tasks", nargs="*")
    options = parser.parse_args()
    tasks = options.tasks or sorted(pd.read_csv(FILE.with_name("worth_twins.csv"))["task"].unique())
    for name in options.names:
        backbone = _loaded(str(options.models / name))
        for task in tasks:
            kept = pd.read_csv(FILE) if FILE.is_file() else pd.DataFrame(columns=["backbone", "task", *COLUMNS])
            if not ((kept["backbone"] == name) & (kept["task"] == task)).any():
                found = {"backbone": name, "task": task, **indicators(backbone, task, options.data)}
                rows = pd.concat([kept, pd.DataFrame([found])], ignore_index=True).sort_values(["backbone", "task"])
                rows.round(5).to_csv(FILE, index=False)
                print(found, flush=True)


def _loaded(place: str) -> Backbone:
    """With its LM head, if it has one."""
    try:
        return load_backbone(place, lm_head=True)
    except BackboneError:
        return load_backbone(place)


def indicators(backbone: Backbone, task: str, data: Path) -> dict[str, float]:
    """COLUMNS of a model and a task."""
    train = load_task(task, data=data).sample(MAX_TEXTS).train
    rows_ND = pooled(backbone, train.texts, LENGTH).astype(np.float64)
    rows_ND -= rows_ND.mean(0)
    drawn = [few_labels(rows_ND, train.labels, seed) for seed in range(DRAWS)]
    few_f1, cos_low = np.mean(drawn, axis=0)
    return {"few_f1": float(few_f1), "cos_low": float(cos_low), **spans(backbone, train.texts[:TEXTS])}


def few_labels(rows_ND: Floats, labels_N: Ints, seed: int) -> tuple[float, float]:
    """F1 of a read-out of few texts on the others, and the mean cosine of gradients of those it is least sure of."""
    few_N = _few(labels_N, np.random.default_rng(seed))
    _, labels_N = np.unique(labels_N, return_inverse=True)
    n_classes = int(labels_N.max()) + 1
    readout = unit_logistic(rows_ND[few_N], labels_N[few_N], np.ones(n_classes))
    rest_N = ~few_N
    p_NC = softmax(readout.scores(rows_ND[rest_N]))
    f1 = metric_value("weighted_f1", labels_N[rest_N], p_NC)
    unsure = np.argsort(p_NC.max(1))[:UNSURE]
    error_UC = p_NC[unsure] - np.eye(n_classes)[labels_N[rest_N][unsure]]
    return f1, mean_cosine(error_UC, rows_ND[rest_N][unsure])


def mean_cosine(error_UC: Floats, rows_UD: Floats) -> float:
    """Of the gradients (p - y) h of every pair of texts."""
    cosine_UU = np.ones((len(error_UC), len(error_UC)))
    for part in (error_UC, rows_UD):
        unit = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30)
        cosine_UU *= unit @ unit.T
    n = len(cosine_UU)
    return float((cosine_UU.sum() - np.trace(cosine_UU)) / (n * (n - 1)))


def _few(labels_N: Ints, rng: np.random.Generator) -> np.ndarray:
    """FEW texts of each class, or half of those it has."""
    few_N = np.zeros(len(labels_N), dtype=bool)
    for label in np.unique(labels_N):
        places = np.flatnonzero(labels_N == label)
        few_N[rng.permutation(places)[: max(1, min(FEW, len(places) // 2))]] = True
    return few_N


def spans(backbone: Backbone, texts: list[str]) -> dict[str, float]:
    """Mean loss of tokens cut out of texts, behind the text with its gaps, and what it was where they stood."""
    if not backbone.causal or backbone.lm_head is None:
        return {"span_nll": float("nan"), "span_gain": float("nan")}
    gap = backbone.tokenizer(_GAP, add_special_tokens=False)["input_ids"]
    behind, before, count = 0.0, 0.0, 0
    for number, ids in enumerate(tokenise(backbone, texts, max_length=LENGTH).ids):
        n_spans = max(1, round(SHARE * len(ids) / SPAN))
        if len(ids) < (SPAN + 2) * n_spans:
            continue
        cut_T = _cut(len(ids), n_spans, np.random.default_rng(number))
        gapped, answer, wanted = _corrupted(ids.tolist(), cut_T, gap)
        behind += float(_losses(backbone, gapped + answer)[-len(answer) :][wanted].sum())
        before += float(_losses(backbone, ids.tolist())[np.flatnonzero(cut_T) - 1].sum())
        count += int(cut_T.sum())
    return {"span_nll": behind / count, "span_gain": (before - behind) / count}


def _cut(length: int, n_spans: int, rng: np.random.Generator) -> np.ndarray:
    """Which tokens are cut out (T): spans of SPAN tokens, none at the beginning and no two that touch."""
    room = length - 1 - n_spans * (SPAN + 1)
    before = np.sort(rng.integers(0, room + 1, n_spans)) + np.arange(n_spans) * (SPAN + 1) + 1
    cut_T = np.zeros(length, dtype=bool)
    for begin in before:
        cut_T[begin : begin + SPAN] = True
    return cut_T


def _corrupted(ids: list[int], cut_T: np.ndarray, gap: list[int]) -> tuple[list[int], list[int], np.ndarray]:
    """The text with gaps, the spans behind it, each after a gap, and which tokens of these are the spans'."""
    gapped, answer, wanted = list[int](), list[int](), list[bool]()
    for place, token in enumerate(ids):
        if not cut_T[place]:
            gapped.append(token)
            continue
        if not cut_T[place - 1]:
            gapped += gap
            answer += gap
            wanted += [False] * len(gap)
        answer.append(token)
        wanted.append(True)
    return gapped, answer, np.array(wanted)


def _losses(backbone: Backbone, ids: list[int]) -> Floats:
    """-log p of every token but the first (T - 1)."""
    ids_BT, head = torch.tensor([ids], device=backbone.device), backbone.lm_head
    assert head is not None, "asked of decoders"
    model: Any = backbone.model
    with torch.inference_mode(), float32_products():
        states_TD = model(input_ids=ids_BT).last_hidden_state[0, :-1]
        logits_TV = head(states_TD).float()
    return np.asarray(torch.nn.functional.cross_entropy(logits_TV, ids_BT[0, 1:], reduction="none").double())


if __name__ == "__main__":
    main()
