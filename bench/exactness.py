"""How exact one pass is: streaming moments against float64 brute force, and bfloat16 against float32, on real states.

    python bench/exactness.py --models MODELS --data TASKS [--texts 200] [--task rotten_tomatoes]

MODELS is a folder of models; texts are cut at 128 tokens.  First table: largest error of a moment over its largest
entry (C0, C1) or over itself (E1), raw and centred, worst layer; beside it what this becomes in the scores (worst
layer; layers whose states span fewer than D directions apart: there float32 rounding fills the others).  Second
table: every score of `score_layer` from bfloat16 weights and states against float32; differences.

Axes: N texts, P pairs of prefix and next state, D width.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenworth import scores
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.encode import Tokens, encode, pool, tokenise
from tokenworth.scores.curves import SHARE, resolve_k
from tokenworth.scores.layer import score_layer
from tokenworth.scores.subspaces import autoregressive
from tokenworth.tasks import load_task

GROUPS, MAX_LENGTH = 5, 128
Values = dict[str, float]


class Layer:
    """Everything one layer is judged by: streaming moments, features, and the states themselves."""

    def __init__(self, width: int, prefix: str) -> None:
        self.context = scores.ContextMoments(width, "mean" if prefix == "mean" else "sum")
        self.features: dict[int, Tensor] = {}
        self.texts: list[Tensor] = []

    def add(self, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
        """One batch."""
        self.context = self.context.update(states, mask)
        self.features.update(zip(rows.tolist(), pool(states, mask), strict=True))
        self.texts += [text[real].clone() for text, real in zip(states, mask, strict=True)]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="rotten_tomatoes")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--prefix", choices=("sum", "mean"), default="sum")
    options = parser.parse_args()
    torch.set_num_threads(1)
    split = load_task(options.task, data=options.data).train
    rows = np.linspace(0, len(split.texts) - 1, options.texts).astype(int)  # files may be sorted by class
    texts, labels = [split.texts[row] for row in rows], torch.from_numpy(split.labels[rows])
    print(f"torch {torch.__version__}; {len(labels)} texts of {options.task}, prefix {options.prefix}\n")
    print(
        "| model | D | states' mean / spread | C0 | C1 | E1 | C0 centred | C1 centred "
        "| NTPS(.25) | NTPS, any k | NTPS, any k, deficient layers | AR R2 |"
    )
    print("|---|" + "--:|" * 11)
    differences: dict[str, Values] = {}
    for folder in sorted(path for path in options.models.iterdir() if (path / "config.json").is_file()):
        full = collect(str(folder), texts, "float32", options.prefix)
        print(exactness_row(folder.name, full, labels), flush=True)
        half = collect(str(folder), texts, "bfloat16", options.prefix)
        differences[folder.name] = difference(full, half, labels)
    names = sorted({name for found in differences.values() for name in found})
    print("\nbfloat16 weights and states against float32: largest difference of a score over layers\n")
    print("| score | " + " | ".join(differences) + " |\n|---|" + "--:|" * len(differences))
    for name in names:
        print(f"| {name} | " + " | ".join(shown(found.get(name, math.nan)) for found in differences.values()) + " |")


def collect(folder: str, texts: list[str], dtype: str, prefix: str) -> list[Layer]:
    """One pass."""
    backbone: Backbone = load_backbone(folder, dtype=dtype, device="cpu")
    tokens: Tokens = tokenise(backbone, texts, max_length=min(MAX_LENGTH, backbone.max_length))
    layers = [Layer(backbone.width, prefix) for _ in range(backbone.n_layers + 1)]
    encode(backbone, tokens, lambda layer, states, mask, rows: layers[layer].add(states, mask, rows))
    return layers


def exactness_row(name: str, layers: list[Layer], labels: Tensor) -> str:
    """Worst errors over layers."""
    found = [errors(layer, labels) for layer in layers]
    worst = [max(layer[key] for layer in found) for key in found[0]]
    return f"| {name} | {layers[0].context.dim} | {worst[0]:.1f} | " + " | ".join(map(shown, worst[1:])) + " |"


def errors(layer: Layer, labels: Tensor) -> Values:
    """Streaming against brute force on the same states."""
    s_PD, h_PD = brute_pairs(layer.texts, layer.context.prefix)
    spread = (h_PD - h_PD.mean(0)).square().mean().sqrt()
    found: Values = {"mean over spread": float(h_PD.mean(0).square().mean().sqrt() / spread)}
    exact = exact_context(layer)
    for center in (False, True):
        s, h = (s_PD - s_PD.mean(0), h_PD - h_PD.mean(0)) if center else (s_PD, h_PD)
        c0, c1, _, e1 = layer.context.second_moments(center=center)
        truth = {"C0": s.T @ s, "C1": s.T @ h} | ({} if center else {"E1": h.square().sum()})
        for key, got in (("C0", c0), ("C1", c1), ("E1", e1)):
            if key in truth:
                expected = truth[key] / len(layer.texts)
                found[f"{key}{center}"] = float((got - expected).abs().max() / expected.abs().max())
    pooled = pooled_groups(layer, labels)[0]
    for group in pooled_groups(layer, labels)[1:]:
        pooled = pooled + group
    deficient = autoregressive(exact).rank < exact.dim
    curves = [scores.ntps_curve(context, pooled) for context in (layer.context, exact)]
    apart = (curves[0] - curves[1]).abs()
    at = resolve_k(SHARE, exact.dim) - 1
    found["NTPS(.25)"] = 0.0 if deficient else float(apart[at])
    found["NTPS"] = 0.0 if deficient else float(apart.max())
    found["NTPS, deficient"] = float(apart.max()) if deficient else 0.0
    found["AR R2"] = abs(scores.ar_r2(layer.context) - scores.ar_r2(exact))
    return found


def brute_pairs(texts: list[Tensor], prefix: str) -> tuple[Tensor, Tensor]:
    """Every prefix (P, D) and next state (P, D) in float64."""
    prefixes, nexts = [], []
    for text in texts:
        wide = text.double()
        sums = wide.cumsum(0)[:-1]
        prefixes.append(sums / torch.arange(1, len(wide))[:, None] if prefix == "mean" else sums)
        nexts.append(wide[1:])
    return torch.cat(prefixes), torch.cat(nexts)


def exact_context(layer: Layer) -> scores.ContextMoments:
    """Moments of the same states in float64, where every step is."""
    moments = scores.ContextMoments(layer.context.dim, layer.context.prefix)
    for text in layer.texts:
        moments = moments.update(text.double()[None], torch.ones(1, len(text), dtype=torch.bool))
    return moments


def pooled_groups(layer: Layer, labels: Tensor) -> list[scores.PooledMoments]:
    """Pooled moments of a few groups of texts."""
    classes = int(labels.max()) + 1
    features = torch.stack([layer.features[row] for row in range(len(labels))])
    groups = [torch.arange(len(labels)) % GROUPS == group for group in range(GROUPS)]
    return [scores.PooledMoments(features.shape[1], classes).update(features[rows], labels[rows]) for rows in groups]


def difference(full: list[Layer], half: list[Layer], labels: Tensor) -> Values:
    """Largest difference of each score over the layers."""
    worst: Values = {}
    for layers in zip(full, half, strict=True):
        a, b = (score_layer(layer.context, pooled_groups(layer, labels), conventions=True).values for layer in layers)
        for name in a.keys() & b.keys():
            if not math.isnan(a[name].value + b[name].value):
                worst[name] = max(worst.get(name, 0.0), abs(a[name].value - b[name].value))
    return worst


def shown(value: float) -> str:
    """Two digits."""
    return "-" if math.isnan(value) else f"{value:.1e}" if value < 1e-3 else f"{value:.2g}"


if __name__ == "__main__":
    main()
