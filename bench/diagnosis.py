"""Does perception rise with LoRA, as the second paper says?  Scores of a backbone before and after, by task.

    python bench/diagnosis.py --data FOLDER --models FOLDER [--name tinystories-656k] [--steps 1000] [--lr 1e-3]

Scores of the last layer; the probe is fitted on training texts (which LoRA has learnt) and measured on test texts.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from tokenworth.adaptation import adapt
from tokenworth.tasks import load_task

TASKS = ("clickbait", "sms_spam", "intent_classification", "sst2", "emotion", "banking77")
SCORES = ("ntps", "ntps_chance", "retained_auc", "probe_accuracy")


def main() -> None:
    """Print one row a task and route."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--name", default="tinystories-656k")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--routes", nargs="+", default=["lora"])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--texts", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.name}, {options.steps:,} steps, lr {options.lr:g}, up to {options.texts:,} texts a part\n")
    heads = ("task", "route", "F1", *(f"{name}: before / after" for name in SCORES), "update / weights", "intruders")
    print(f"| {' | '.join(heads)} |\n|---|---|{'--:|' * (len(heads) - 2)}")
    for name in options.tasks:
        task = load_task(name, data=options.data).sample(options.texts)
        for route in options.routes:
            config = {"steps": options.steps, "lr": options.lr, "max_length": 128, "diagnose": True,
                      "mislabelled": False}  # fmt: skip
            result = adapt(str(options.models / options.name), task, route, config=config)
            print(_row(name, route, result), flush=True)


def _row(name: str, route: str, result: Any) -> str:
    last, updates = result.diagnosis["layers"][-1], result.diagnosis["updates"]
    moved = [row for row in updates if row["relative_size"] > 0]
    size = sum(row["relative_size"] for row in moved) / len(moved)
    scores = (f"{last[f'{score}_before']:.3f} / {last[f'{score}_after']:.3f}" for score in SCORES)
    intruders = f"{sum(row['intruders'] for row in moved)} of {sum(row['looked_at'] for row in moved)}"
    return (
        f"| {name} | {route} | {result.metrics['weighted_f1']:.3f} | {' | '.join(scores)} | {size:.3f} | {intruders} |"
    )


if __name__ == "__main__":
    main()
