"""What this CPU multiplies fastest: float32 by BLAS or by oneDNN, or bfloat16; products, passes and training steps.

python bench/number_formats.py --data FOLDER --models FOLDER [FOLDER ...] [--names wikinovels-14m] [--steps 60]

One thread; processor seconds of this process, medians of interleaved runs.  `tokenworth doctor` says what is taken.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

import tokenworth as tw
import tokenworth.base.float32_products as products
from tokenworth.backbones import load_backbone, resolve_dtype
from tokenworth.base.float32_products import float32_products, short_attention

CPU = torch.device("cpu")
WAYS = {
    "float32 by BLAS": ("float32", products.BLAS),
    "float32 by oneDNN": ("float32", products.ONEDNN),
    "bfloat16": ("bfloat16", products.ONEDNN),
}
TASK = "rotten_tomatoes"
LENGTHS = {"68 texts of 30 tokens": (68, 30), "16 texts of 128": (16, 128), "4 texts of 512": (4, 512)}


def main() -> None:
    """Print a table, a column a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="folders in which models lie by name")
    parser.add_argument("--names", nargs="+", default=["wikinovels-14m"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = tw.load_task(TASK, data=options.data, max_texts=600)
    print(f"auto: {resolve_dtype('auto', CPU)}, float32 by {products.product_decision().library}\n")
    print(f"| model | | {' | '.join(WAYS)} | oneDNN / BLAS | bfloat16 / BLAS |\n|---|---|{'--:|' * 5}")
    for shape in ((256, 768, 3072), (1024, 576, 576), (300, 384, 1152)):
        m, k, n = shape
        _row("", f"{m} x {k} by {k} x {n}, ms", partial(_product, shape), options.runs, 1e3)
    for name in options.names:
        model = str(next(folder / name for folder in options.models if (folder / name).is_dir()))
        networks = {dtype: load_backbone(model, dtype=dtype, device="cpu") for dtype in ("float32", "bfloat16")}
        for words, size in LENGTHS.items():
            _row(name, f"forward, {words}, s", partial(_forward, networks, size), options.runs)
        for route in ("lora", "full"):
            _row(name, f"{options.steps} steps of {route}, s", partial(_steps, model, task, route, options.steps),
                 options.runs)  # fmt: skip


def _row(name: str, what: str, seconds: Callable[[str], float], runs: int, unit: float = 1.0) -> None:
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way, (dtype, library) in WAYS.items():
            with by(library):
                found[way].append(seconds(dtype))
    blas, onednn, narrow = (median(found[way]) for way in WAYS)
    times = " | ".join(f"{value * unit:.3g}" for value in (blas, onednn, narrow))
    print(f"| {name} | {what} | {times} | {blas / onednn:.2f} | {blas / narrow:.2f} |", flush=True)


@contextmanager
def by(library: str) -> Iterator[None]:
    """This process has decided for a library."""
    decided = products.ProductDecision(library, {}, {}, {})
    with patch.object(products, "product_decision", lambda: decided):
        yield


def _product(shape: tuple[int, int, int], dtype: str) -> float:
    (m, k, n), number = shape, resolve_dtype(dtype, CPU)
    left, right = torch.randn(m, k).to(number), torch.randn(k, n).to(number)
    with torch.inference_mode(), float32_products():
        return median(_timed(lambda: left @ right) for _ in range(15))


def _forward(networks: dict[str, Any], size: tuple[int, int], dtype: str) -> float:
    backbone, (texts, tokens) = networks[dtype], size
    ids = torch.randint(0, backbone.model.config.vocab_size, (texts, tokens))
    mask = torch.ones_like(ids)
    with torch.inference_mode(), float32_products(), short_attention(tokens, backbone.dtype, CPU):
        return median(_timed(lambda: backbone.model(input_ids=ids, attention_mask=mask)) for _ in range(3))


def _steps(model: str, task: tw.Task, route: str, steps: int, dtype: str) -> float:
    config = {"steps": steps, "max_length": 128, "mislabelled": False, "dtype": dtype, "lr": 1e-4}
    return float(tw.adapt(model, task, route, config=config).cost["loop_seconds"])


def _timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
