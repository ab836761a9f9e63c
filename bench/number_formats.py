"""bfloat16 or float32 on this CPU: products, forward passes and training steps, and what `auto` takes.

python bench/number_formats.py --data FOLDER --models FOLDER [--steps 100]
"""

from __future__ import annotations

import argparse
import timeit
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tokenworth as tw
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import load_backbone, resolve_dtype
from tokenworth.base.float32_products import float32_products

CPU = torch.device("cpu")
FORMATS = ("float32", "bfloat16")
MODEL, TASK = "wikinovels-14m", "bias_identification"


def main() -> None:
    """Print a table, a column a format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, task = str(options.models / MODEL), tw.load_task(TASK, data=options.data, max_texts=600)
    print(f"auto: {resolve_dtype('auto', CPU)}\n\n| | {' | '.join(FORMATS)} |\n|---|--:|--:|")
    rates = [measure_rates(CPU, resolve_dtype(name, CPU)).forward / 1e9 for name in FORMATS]
    _row("product of 1024 x 1024, GFLOP/s", rates, ".0f")
    _row("forward of 68 texts of 30 tokens, s", [_forward(model, name) for name in FORMATS], ".2f")
    for route in ("scratch", "lora"):
        seconds = [_steps(model, task, route, name, options.steps) for name in FORMATS]
        _row(f"{options.steps} steps of {route}, 8 short texts each, s", seconds, ".1f")


def _row(name: str, values: list[float], form: str) -> None:
    print(f"| {name} | {' | '.join(format(value, form) for value in values)} |", flush=True)


def _forward(model: str, dtype: str) -> float:
    network: Any = load_backbone(model, dtype=dtype, device="cpu").model
    ids = torch.randint(0, network.config.vocab_size, (68, 30))
    with torch.inference_mode(), float32_products():
        return float(np.median(timeit.repeat(lambda: network(input_ids=ids, use_cache=False), number=1, repeat=7)))


def _steps(model: str, task: tw.Task, route: str, dtype: str, steps: int) -> float:
    config = {"steps": steps, "max_length": 128, "mislabelled": False, "dtype": dtype}
    return float(tw.adapt(model, task, route, config=config).cost["loop_seconds"])


if __name__ == "__main__":
    main()
