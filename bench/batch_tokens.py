"""How many padded tokens a batch of a forward pass should have on a processor: moments and poolings of all layers.

    python bench/batch_tokens.py --data TASKS --model FOLDER [--task rotten_tomatoes] [--texts 250] [--runs 3] \
        [--sizes 256 512 1024 2048] [--threads 1]

CPU seconds of this process, sizes in turn, medians; padding is of one run, as it is the same in all.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone, load_backbone
from tokenworth.encode import Tokens, encode, pool, tokenise
from tokenworth.scores import ContextMoments
from tokenworth.scores.context import Places
from tokenworth.tasks import load_task


def main() -> None:
    """One row a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--task", default="rotten_tomatoes")
    parser.add_argument("--texts", type=int, default=250)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backbone = load_backbone(options.model)
    texts = load_task(options.task, data=options.data).sample(options.texts).train.texts
    tokens = tokenise(backbone, texts, max_length=options.max_length)
    real = int(tokens.lengths.sum())
    print(
        f"{backbone.name}, {backbone.dtype}, torch {torch.__version__}, {options.threads} thread(s); {options.task}, "
        f"{len(texts)} texts, {real:,} tokens; medians of {options.runs} runs\n"
    )
    print("| padded tokens | padded / real | seconds | of them poolings and moments |\n|--:|--:|--:|--:|")
    found: dict[int, list[tuple[float, float, int]]] = {size: [] for size in options.sizes}
    one_pass(backbone, tokens, options.sizes[0])
    for _ in range(options.runs):
        for size, rows in found.items():
            rows.append(one_pass(backbone, tokens, size))
    for size, rows in found.items():
        whole, consumed = (median(row[i] for row in rows) for i in (0, 1))
        print(f"| {size:,} | {rows[0][2] / real:.3f} | {whole:.2f} | {consumed:.2f} |")


def one_pass(backbone: Backbone, tokens: Tokens, size: int) -> tuple[float, float, int]:
    """CPU seconds, those of poolings and moments, and padded tokens."""
    moments = [ContextMoments(backbone.width) for _ in range(backbone.n_layers + 1)]
    seconds = 0.0
    seen: list[Any] = [None, None]

    def consume(layer: int, states_BTD: Tensor, mask_BT: Tensor, _rows: np.ndarray) -> None:
        nonlocal seconds
        began = process_time()
        if seen[0] is not mask_BT:
            seen[:] = mask_BT, Places.of(mask_BT)  # of all layers of the batch
        for how in ("mean", "last"):
            pool(states_BTD, mask_BT, how)
        moments[layer].update(states_BTD, seen[1])
        seconds += process_time() - began

    began = process_time()
    stats = encode(backbone, tokens, consume, batch_tokens=size)
    return process_time() - began, seconds, stats.padded_tokens


if __name__ == "__main__":
    main()
