"""Forecasts of `tokenworth doctor` against real runs, and the plan for a model of 70 B parameters on a million texts.

    python bench/forecasts.py --data ../shared/data/tasks --models ../shared/models [--max-texts 1000] [--threads 1]
    python bench/forecasts.py --plan

The first form measures this machine's matrix rates, forecasts and then assesses each pair, without the cache.
The second only counts: the configuration is that of Llama 2 70B, the rates are stated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig

import tokenworth as tw
from tokenworth.assessment.assessment_forecast import Forecast, Rates, forecast, measure_rates
from tokenworth.backbones import load_backbone, meta_model
from tokenworth.backbones.accounting.account import account
from tokenworth.encode import tokenise

PAIRS = (
    ("stories260k", "rotten_tomatoes"),
    ("tinystories-656k", "emotion"),
    ("babyllama-tok361", "banking77"),
    ("wikinovels-14m", "rotten_tomatoes"),
    ("wikinovels-14m", "imdb"),
)
PLANNED_TEXTS, PLANNED_TOKENS = 1_000_000, 128
EIGHT_GPUS = Rates(forward=8 * 400e12, moments=8 * 45e12, scores=2e12)
"""Eight H100: bf16 products at 40 % of the sheet's 989 TFLOP/s, float32 at two thirds of 67; 64 cores in float64."""


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--max-texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.plan:
        plan()
    else:
        compare(options.data, options.models, options.max_texts)


def compare(data: Path, models: Path, max_texts: int) -> None:
    """Forecast, run, print."""
    rates = measure_rates(torch.device("cpu"), torch.float32)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} CPU thread(s), measured {rates.forward / 1e9:.0f} "
        f"GFLOP/s in float32, {rates.scores / 1e9:.0f} in float64; seconds, forecast / run\n"
    )
    print("| backbone | task | texts | tokens | forward | moments | closed forms | features MB |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for model, name in PAIRS:
        if (models / model).is_dir() and (data / name).is_dir():
            print(row(str(models / model), str(data / name), max_texts, rates), flush=True)


def row(model: str, source: str, max_texts: int, rates: Rates) -> str:
    """One pair as a line of the table."""
    task = tw.load_task(source).sample(max_texts)
    backbone = load_backbone(model, device="cpu", dtype="float32")
    lengths = np.concatenate([tokenise(backbone, part.texts).lengths for part in (task.train, task.test)])
    counted = account(meta_model(backbone.model.config), model, context=round(lengths.mean()))
    said = forecast(counted, lengths, len(task.train), rates, memory=10**10, bytes_a_weight=4)
    done = tw.assess(backbone, task, cache=False)
    facts = done.forward_pass
    pairs = (
        (said.forward_seconds, facts["forward_seconds"]),
        (said.moment_seconds, facts["moments_seconds"]),
        (said.score_seconds, done.timings["scores"]),
    )
    seconds = " | ".join(f"{expected:.1f} / {real:.1f}" for expected, real in pairs)
    names = f"{Path(model).name} | {Path(source).name}"
    return f"| {names} | {said.texts} | {facts['tokens']} | {seconds} | {said.feature_bytes / 1e6:.0f} |"


def plan() -> None:
    """A million texts of 128 tokens through 80 blocks of width 8,192, by the memory that moments may take."""
    config = LlamaConfig(
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        vocab_size=32_000,
        max_position_embeddings=4096,
    )
    counted = account(meta_model(config), "70B", context=PLANNED_TOKENS)
    lengths = np.full(PLANNED_TEXTS, PLANNED_TOKENS)
    print(f"{counted.parameters:,} parameters, {counted.flops_per_token():.3e} FLOP a token; one pooling is kept\n")
    heads = "memory|passes|forward FLOP|moments FLOP|weights GB|moments GB|features TB|forward h|moments h|scores h"
    print(f"|{heads}|\n|{10 * '--:|'}")
    for memory in (200e9, 48e9, 24e9):
        found = forecast(counted, lengths, 800_000, EIGHT_GPUS, memory=int(memory), bytes_a_weight=2)
        print(plan_row(found, memory))


def plan_row(found: Forecast, memory: float) -> str:
    """One line of the plan."""
    hours = (found.forward_seconds / 3600, found.moment_seconds / 3600, found.score_seconds / 3600)
    cells = [f"{memory / 1e9:.0f} GB", str(found.passes), f"{found.forward_flops:.2e}", f"{found.moment_flops:.2e}"]
    cells += [f"{size / 1e9:.0f}" for size in (found.weight_bytes, found.moment_bytes)]
    cells += [f"{found.feature_bytes / 3e12:.2f}", *(f"{hour:.1f}" for hour in hours)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
