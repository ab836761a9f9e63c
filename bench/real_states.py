"""Every closed form against brute force on the states of real language models, sink layers among them.

    python bench/real_states.py --models FOLDER [FOLDER ...] --data TASKS [--out docs/results]

One pass of each model over rotten_tomatoes in float32 and over emotion in bfloat16, texts cut at --max-length tokens.
On chosen layers, for N texts below, at and above the width D, what the package makes of the streamed moments stands
beside `brute_force` in float64 on the same states.  Printed: every value, then the largest difference of each score.
With --out every value becomes exactness.csv.

Columns `float32` are the package as in a pass (context products in float32), `float64` the same code given the states
in float64: what is left there is algebra, the rest is what float32 products lose.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layer_values import States, compare
from tokenworth.backbones import load_backbone
from tokenworth.encode import encode, tokenise
from tokenworth.tasks import load_task

LAYERS = {30: (0, 11, 12, 15, 24, 30), 18: (0, 2, 9, 17, 18)}
"""By number of blocks; of other models the first, the last and three between."""
PASSES = ("float32", "rotten_tomatoes"), ("bfloat16", "emotion")
FEW = 200


@dataclass(frozen=True)
class Row:
    """One score of one layer."""

    model: str
    task: str
    format: str
    layer: int
    texts: int
    width: int
    first_token: float  # norm of the first state over that of the others, medians
    condition: float  # of the scaled C0 with its ridge
    score: str
    float32: float
    float64: float
    brute: float

    @property
    def difference(self) -> float:
        """Of the package as in a pass."""
        return _apart(self.float32, self.brute)

    @property
    def algebra(self) -> float:
        """Of the package given float64 states."""
        return _apart(self.float64, self.brute)


def _apart(a: float, b: float) -> float:
    """Infinite where only one of them exists."""
    return math.inf if math.isnan(a) != math.isnan(b) else abs(a - b)


def main() -> None:
    """Print every value and the largest differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-length", type=int, default=12)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| model | format | layer | N | score | package | brute force | difference |\n|---|---|--:|--:|---|--:|--:|--:|"
    )
    rows: list[Row] = []
    for folder in options.models:
        for dtype, task in PASSES:
            rows += model_rows(folder, dtype, task, options)
            if options.out:  # what was measured stays if a later pass is stopped
                write_rows(rows, options.out)
    print(f"\n{summary(rows)}\n\n{time.process_time() / 60:.1f} minutes of one core")


def model_rows(folder: Path, dtype: str, task: str, options: argparse.Namespace) -> list[Row]:
    """One pass, every layer and number of texts."""
    rows: list[Row] = []
    for layer, states in collect(folder, dtype, task, options).items():
        width = states.texts[0].shape[1]
        for n in (FEW, width, 2 * width):
            few = states.first(n)
            ratio, condition, values = compare(few)
            found = [
                Row(folder.name, task, dtype, layer, n, width, ratio, condition, name, *three)
                for name, three in values.items()
            ]
            for row in found:
                print(
                    f"| {row.model} | {dtype} | {layer} | {n} | {row.score} | {row.float32:.6g} | {row.brute:.6g} "
                    f"| {row.difference:.1e} |",
                    flush=True,
                )
            rows += found
    return rows


def collect(folder: Path, dtype: str, task: str, options: argparse.Namespace) -> dict[int, States]:
    """States of the chosen layers, texts spread over the file and then in random order."""
    backbone = load_backbone(str(folder), dtype=dtype, device="cpu")
    split = load_task(task, data=options.data).train
    count, last = 2 * backbone.width, backbone.n_layers
    layers = LAYERS.get(last) or tuple(sorted({0, last // 4, last // 2, 3 * last // 4, last}))
    spread = np.linspace(0, len(split.texts) - 1, count).astype(int)
    rows = np.random.default_rng(0).permutation(spread)
    tokens = tokenise(backbone, [split.texts[row] for row in rows], max_length=options.max_length)
    texts: dict[int, list[Tensor]] = {layer: [torch.empty(0)] * count for layer in layers}

    def keep(layer: int, states: Tensor, mask: Tensor, places: np.ndarray) -> None:
        if layer in texts:
            for place, text, real in zip(places.tolist(), states, mask, strict=True):
                texts[layer][place] = text[real].clone()

    encode(backbone, tokens, keep)
    labels = torch.from_numpy(split.labels[rows])
    return {layer: States(kept, labels, int(split.labels.max()) + 1) for layer, kept in texts.items()}


def summary(rows: list[Row]) -> str:
    """The largest difference of each score for N below, at and above the width, and where."""
    lines = [
        "| score | N < D | N = D | N > D | with float64 states | where it is largest |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name in dict.fromkeys(row.score for row in rows):
        of_score = [row for row in rows if row.score == name]
        sizes = [[row for row in of_score if np.sign(row.texts - row.width) == sign] for sign in (-1, 0, 1)]
        largest = [f"{max(row.difference for row in size):.1e}" if size else "-" for size in sizes]
        algebra, worst = max(row.algebra for row in of_score), max(of_score, key=lambda row: row.difference)
        lines.append(
            f"| {name} | {' | '.join(largest)} | {algebra:.1e} | {worst.model} layer {worst.layer}, {worst.format}, "
            f"N {worst.texts}: {worst.float32:.5g} for {worst.brute:.5g} |"
        )
    return "\n".join(lines)


def write_rows(rows: list[Row], folder: Path) -> None:
    """Every value as exactness.csv."""
    with (folder / "exactness.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: f"{value:.9g}" if isinstance(value, float) else value for name, value in asdict(row).items()}
            )


if __name__ == "__main__":
    main()
