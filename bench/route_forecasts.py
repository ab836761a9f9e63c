"""What `doctor --route` says of trained routes, and what then happens.

    python bench/route_forecasts.py --data FOLDER --models FOLDER [--protocol]

Counts must be equal, seconds are guesses.  --protocol adds the whole protocol: stories260k on sst2, 10,000 steps.
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
    ("stories260k", "sst2", "lora", 300),
    ("tinystories-656k", "rotten_tomatoes", "lora", 300),
    ("tinystories-656k", "rotten_tomatoes", "full", 300),
    ("wikinovels-14m", "rotten_tomatoes", "lora", 60),
    ("wikinovels-14m", "rotten_tomatoes", "full", 60),
    ("wikinovels-14m", "rotten_tomatoes", "scratch", 60),
)
PROTOCOL = ("stories260k", "sst2", "lora", 10_000)


def main() -> None:
    """Print one row a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--protocol", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rate = measure_rates(torch.device("cpu"), torch.float32).forward
    print(f"torch {torch.__version__}, one thread, float32, {rate / 1e9:.0f} GFLOP/s; training seconds\n")
    heads = (
        "model",
        "task",
        "route",
        "steps",
        "tokens: said / was",
        "FLOPs: said / was",
        "seconds: said / was",
        "ratio",
    )
    print(f"| {' | '.join(heads)} |\n|---|---|---|{'--:|' * (len(heads) - 3)}")
    for model, task, route, steps in (*RUNS, *([PROTOCOL] if options.protocol else [])):
        print(row(options, model, task, route, steps, rate), flush=True)


def row(options: argparse.Namespace, model: str, name: str, route: str, steps: int, rate: float) -> str:
    """Forecast, run, compare."""
    path, task = str(options.models / model), load_task(name, data=options.data)
    task = task if steps == PROTOCOL[3] else task.sample(options.texts)
    config = as_published(AdaptConfig(steps=steps, mislabelled=False, dtype="float32"))
    backbone = load_backbone(path, dtype="float32")
    train_N, test_M = (tokenise(backbone, part.texts).lengths for part in (task.train, task.test))
    said = forecast_route(path, route, config, task.n_classes, train_N, test_M, rate)
    cost = adapt(path, task, route, config=config).cost
    return (
        f"| {model} | {name} | {route} | {steps:,} | {said.tokens:,} / {cost['tokens']:,} | {said.train_flops:.3e} / "
        f"{cost['train_flops']:.3e} | {said.train_seconds:.0f} / {cost['loop_seconds']:.0f} | "
        f"{said.train_seconds / cost['loop_seconds']:.2f} |"
    )


if __name__ == "__main__":
    main()
