"""Seconds and memory of everything in closed form that an assessment computes for one layer, by width.

    python bench/layer_scale.py [--widths 384 896 2048] [--texts 2000] [--threads 2]

Synthetic states with a spectrum that falls by 1.5 decades and a planted signal in 4 classes; 10 groups, 20 shuffles,
500 test texts, as in `assess`.  Each width runs in a process of its own; memory is that process's peak above what the
libraries take.  The context moments hold as many prefixes as the width asks for (4 D).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from tokenworth.assessment.layer_scores import Labels, layer_moments, layer_probe, neighbour_columns
from tokenworth.scores import ContextMoments
from tokenworth.scores.layer import score_layer

CLASSES, GROUPS, SHUFFLES, TEST_TEXTS = 4, 10, 20, 500


def main() -> None:
    """Print one row a width."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", nargs="+", type=int, default=[384, 896, 2048])
    parser.add_argument("--texts", nargs="+", type=int, default=[2000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", action="store_true", help="measure one setting in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.widths[0], options.texts[0], options.threads)))
        return
    print(f"torch {torch.__version__}, float64, {options.threads} CPU thread(s)\n")
    print("| width | texts | moments s | scores s | probes s | together s | peak GB |\n|--:|--:|--:|--:|--:|--:|--:|")
    for width in options.widths:
        for texts in options.texts:
            command = [sys.executable, __file__, "--one", "--widths", str(width), "--texts", str(texts)]
            done = subprocess.run([*command, "--threads", str(options.threads)], check=True, capture_output=True)
            found = json.loads(done.stdout)
            seconds = [found[stage] for stage in ("moments", "scores", "probes")]
            cells = [f"{value:.2f}" for value in (*seconds, sum(seconds), found["gigabytes"])]
            print(f"| {width} | {texts} | {' | '.join(cells)} |", flush=True)


def measure(width: int, n_texts: int, threads: int) -> dict[str, float]:
    """Seconds of each stage and the peak of memory."""
    torch.set_num_threads(threads)
    maker = torch.Generator().manual_seed(0)
    states = States(width, maker)
    context = ContextMoments(width, target_moment=False)
    for _ in range(max(8, 4 * width // 1024)):
        context = context.update(states.draw(32, 32), torch.ones(32, 32, dtype=torch.bool))
    train, labels = states.texts(n_texts)
    test, test_labels = states.texts(TEST_TEXTS)
    shuffled = torch.stack([labels[torch.randperm(n_texts, generator=maker)] for _ in range(SHUFFLES)])
    given = Labels(labels, test_labels.numpy().astype(np.int64), torch.arange(n_texts) % GROUPS, shuffled, CLASSES)
    before, clock = peak(), [perf_counter()]
    moments = layer_moments(train, given)
    clock.append(perf_counter())
    scores = score_layer(
        context,
        moments.groups,
        moments.shuffled,
        total=moments.total,
        rows=moments.rows,
        labels=moments.labels,
        spectrum=False,
    )
    clock.append(perf_counter())
    layer_probe(train, test, moments, given)
    neighbour_columns(train, test, given)
    clock.append(perf_counter())
    if not scores.values["ntps"].value > 0:
        raise SystemExit("the scores make no sense; the figures would not either")
    spent = dict(zip(("moments", "scores", "probes"), np.diff(clock).tolist(), strict=True))
    return {**spent, "gigabytes": peak() - before}


class States:
    """Random states whose coordinates are mixed and whose variances fall."""

    def __init__(self, width: int, maker: torch.Generator) -> None:
        self.maker, self.width = maker, width
        self.mix = torch.randn(width, width, generator=maker) / width**0.5
        self.spread = torch.logspace(0, -1.5, width)
        self.centres = 0.15 * torch.randn(CLASSES, width, generator=maker)

    def draw(self, *shape: int) -> Tensor:
        """States (..., D)."""
        drawn: Tensor = (torch.randn(*shape, self.width, generator=self.maker) * self.spread) @ self.mix + 0.3
        return drawn

    def texts(self, count: int) -> tuple[Tensor, Tensor]:
        """Pooled texts (N, D) and their labels (N,)."""
        labels = torch.randint(0, CLASSES, (count,), generator=self.maker)
        return self.draw(count) + self.centres[labels], labels


def peak() -> float:
    """Largest resident memory so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
