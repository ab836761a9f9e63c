"""What `doctor --route` says of trained routes, and what then happens.

    python bench/route_forecasts.py --data FOLDER --models FOLDER [FOLDER ...] [--protocol]

Counts must be equal, seconds are guesses; models that lie in none of the folders are left out.  --protocol adds the
whole protocol: stories260k on sst2, 10,000 steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from tokenworth.adaptation import AdaptConfig, adapt
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import load_backbone
from tokenworth.encode import tokenise
from tokenworth.tasks import load_task

RUNS = (
    ("stories260k", "sst2", "lora", 300, "float32"),
    ("tinystories-656k", "rotten_tomatoes", "lora", 300, "float32"),
    ("tinystories-656k", "rotten_tomatoes", "full", 300, "float32"),
    ("wikinovels-14m", "rotten_tomatoes", "lora", 60, "float32"),
    ("wikinovels-14m", "rotten_tomatoes", "full", 60, "float32"),
    ("wikinovels-14m", "rotten_tomatoes", "scratch", 60, "float32"),
    ("wikinovels-14m", "rotten_tomatoes", "lora", 60, "bfloat16"),
    ("all-minilm-l6-v2", "rotten_tomatoes", "lora", 60, "bfloat16"),
    ("all-minilm-l6-v2", "rotten_tomatoes", "full", 60, "bfloat16"),
    ("smollm2-135m", "rotten_tomatoes", "lora", 30, "bfloat16"),
    ("smollm2-135m", "rotten_tomatoes", "full", 30, "bfloat16"),
)
DTYPES = ("float32", "bfloat16")
PROTOCOL = ("stories260k", "sst2", "lora", 10_000, "float32")


def main() -> None:
    """Print one row a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--protocol", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rates = {dtype: measure_rates(torch.device("cpu"), getattr(torch, dtype)).forward for dtype in DTYPES}
    shown = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in rates.items())
    print(f"torch {torch.__version__}, one thread, {shown}; training seconds\n")
    heads = (
        "model",
        "task",
        "route",
        "format",
        "steps",
        "tokens: said / was",
        "FLOPs: said / was",
        "seconds: said / was",
        "ratio",
    )
    print(f"| {' | '.join(heads)} |\n|---|---|---|---|{'--:|' * (len(heads) - 4)}")
    for model, name, route, steps, dtype in (*RUNS, *([PROTOCOL] if options.protocol else [])):
        places = [folder / model for folder in options.models if (folder / model).exists()]
        if places:
            print(row(options, places[0], (name, route, steps, dtype), rates), flush=True)


Run = tuple[str, str, int, str]
"""Task, route, steps, number format."""


def row(options: argparse.Namespace, path: Path, run: Run, rates: dict[str, float]) -> str:
    """Forecast, run, compare."""
    name, route, steps, dtype = run
    task = load_task(name, data=options.data)
    task = task if steps == PROTOCOL[3] else task.sample(options.texts)
    config = as_published(AdaptConfig(steps=steps, mislabelled=False, dtype=dtype))
    backbone = load_backbone(str(path), dtype=dtype)
    train_N, test_M = (tokenise(backbone, part.texts).lengths for part in (task.train, task.test))
    said = forecast_route(str(path), route, config, task.n_classes, train_N, test_M, rates[dtype])
    cost = adapt(str(path), task, route, config=config).cost
    return (
        f"| {path.name} | {name} | {route} | {dtype} | {steps:,} | {said.tokens:,} / {cost['tokens']:,} | "
        f"{said.train_flops:.3e} / {cost['train_flops']:.3e} | {said.train_seconds:.0f} / {cost['loop_seconds']:.0f} | "
        f"{said.train_seconds / cost['loop_seconds']:.2f} |"
    )


if __name__ == "__main__":
    main()
