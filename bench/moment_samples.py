"""How far context moments of a part of the texts move the scores that read them.

    python bench/moment_samples.py --model FOLDER --data TASKS [--task rotten_tomatoes] [--texts 1500]
                                   [--max-length 128] [--layers 0,8,15,22,30]

The texts are dealt into twenty parts at random and the context moments of each are kept; pooled texts and labels are
always all of them.  A row a share: tokens for each of the D directions, and for each score its difference from that of
all texts, mean and standard deviation over draws of so many parts, at the layer where the mean is largest, beside the
half-width of the score's 95 % interval (which is over labelled texts) there.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import numpy as np
import torch

import tokenworth as tw
from layer_options import layer_options
from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.assessment.layer_scores import layer_moments, prepare_labels, score_row
from tokenworth.backbones import load_backbone
from tokenworth.encode import encode, normalised, pool, tokenise
from tokenworth.scores import ContextMoments
from tokenworth.scores.layer import score_layer

PARTS, DRAWS = 20, 6
SHARES = (1, 2, 5, 10)
"""Of the parts."""
SCORES = ("ntps", "ntps_auc", "retained_auc", "k90", "ar_r2")


def main() -> None:
    """Print a table a model and task."""
    options, task, layers = layer_options(__doc__, 1500)
    backbone = load_backbone(options.model)
    texts = tokenise(backbone, [*task.train.texts, *task.test.texts], max_length=options.max_length)
    part_N = np.random.default_rng(0).permutation(len(texts.ids)) % PARTS
    context = {layer: [ContextMoments(backbone.width, target_moment=False) for _ in range(PARTS)] for layer in layers}
    pooled = {layer: torch.empty(len(texts.ids), backbone.width) for layer in layers}

    def consume(layer: int, states: torch.Tensor, mask: torch.Tensor, rows: np.ndarray) -> None:
        divided = normalised(states)
        pooled[layer][rows] = pool(divided, mask, "mean").float()
        for part in np.unique(part_N[rows]):
            mine = torch.from_numpy(np.flatnonzero(part_N[rows] == part))
            context[layer][part] = context[layer][part].update(divided[mine], mask[mine])

    encode(backbone, texts, consume, layers=layers)
    lengths = texts.lengths
    print(
        f"{options.model}, {options.task}: {len(lengths):,} texts, {lengths.sum():,} tokens, width {backbone.width}\n"
    )
    table({layer: Layer(context[layer], pooled[layer], task) for layer in layers}, lengths.sum() / backbone.width)


class Layer:
    """One layer's moments by part and pooled training texts."""

    def __init__(self, parts: list[ContextMoments], pooled_ND: torch.Tensor, task: tw.Task) -> None:
        self.parts, self.pooled_ND = parts, pooled_ND[: len(task.train)]
        self.labels = prepare_labels(task, np.arange(len(task.train)) % 10, AssessSettings(shuffles=1))

    def scores(self, parts: list[int]) -> dict[str, float]:
        """Of the moments of some parts."""
        context = reduce(add, [self.parts[part] for part in parts])
        scale_D = context.scale()
        moments = layer_moments(self.pooled_ND / scale_D.to(self.pooled_ND), self.labels)
        found = score_layer(
            context.divided(scale_D), moments.groups, total=moments.total, rows=moments.rows, labels=moments.labels,
            spectrum=False,
        )  # fmt: skip
        return score_row(0, found)


def table(layers: dict[int, Layer], tokens_a_direction: float) -> None:
    """The rows."""
    rng = np.random.default_rng(1)
    whole = {layer: held.scores(list(range(PARTS))) for layer, held in layers.items()}
    names = [name for name in SCORES if name in next(iter(whole.values()))]
    print("| share | tokens a direction |", " | ".join(f"{name}: off / of the half-interval" for name in names), "|")
    print("|--:|--:|" + "--:|" * len(names))
    for share in SHARES:
        draws = [rng.permutation(PARTS)[:share].tolist() for _ in range(DRAWS)]
        off = {layer: [held.scores(draw) for draw in draws] for layer, held in layers.items()}
        cells = [worst(name, whole, off) for name in names]
        print(f"| {share / PARTS:.0%} | {share / PARTS * tokens_a_direction:.0f} |", " | ".join(cells), "|", flush=True)


def worst(name: str, whole: dict[int, dict[str, float]], off: dict[int, list[dict[str, float]]]) -> str:
    """Mean and standard deviation over draws at the layer that is furthest off, and its share of the interval."""
    apart = {layer: np.array([one[name] - whole[layer][name] for one in ones]) for layer, ones in off.items()}
    known = {layer: off_N for layer, off_N in apart.items() if np.isfinite(off_N).all()}
    if not known:
        return "-"
    layer = max(known, key=lambda layer: abs(known[layer].mean()))
    half = (whole[layer].get(f"{name}_high", math.nan) - whole[layer].get(f"{name}_low", math.nan)) / 2
    share = f"{abs(known[layer].mean()) / half:.2f}" if math.isfinite(half) and half else "-"
    return f"{known[layer].mean():+.4f} ± {known[layer].std(ddof=1):.4f} / {share}"


if __name__ == "__main__":
    main()
