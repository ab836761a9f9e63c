"""What repeated texts do to a penalty chosen by generalised cross-validation, and what each rule against it is worth.

    python bench/repeated_texts.py --work FOLDER [--out docs/results/repeated_texts.md]

FOLDER holds the passes of state_conventions.py.  Of four layers of each pass a ridge read-out is fitted to training
texts (means of states over their RMS) as they are, with fewer texts or directions, with fewer directions than the width
says, and with copies of other texts in the place of a share of them; its squared error is taken on test texts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pages import write_page
from tokenworth.scores.repeated_texts import distinct_texts
from tokenworth.scores.ridge import PENALTIES, SPENT_AT_MOST

COMMAND = "python bench/repeated_texts.py --work out/states"


@dataclass(frozen=True)
class Setting:
    """What training texts are taken, and what is done to them."""

    texts: int = 500
    directions: int | None = None
    rank: int | None = None
    """Directions that the texts really fill, by a random map there and back."""
    copies: float = 0.0
    """Share of the texts that copies of others replace."""
    difference: float = 0.0
    """Noise on the copies, in standard deviations of a coordinate."""


SETTINGS = {
    "500 texts, 576 or 640 directions": Setting(),
    "150 texts": Setting(150),
    "60 texts": Setting(60),
    "500 texts, 300 directions": Setting(directions=300),
    "500 texts, 450 directions": Setting(directions=450),
    "350 texts, 300 directions of rank 200": Setting(350, 300, 200),
    "2 % copies": Setting(copies=0.02),
    "10 % copies": Setting(copies=0.1),
    "30 % copies": Setting(copies=0.3),
    "2 % near copies": Setting(copies=0.02, difference=0.03),
    "10 % near copies": Setting(copies=0.1, difference=0.03),
    "30 % near copies": Setting(copies=0.3, difference=0.03),
    "60 texts, 10 % copies": Setting(60, copies=0.1),
    "450 directions, 10 % near copies": Setting(directions=450, copies=0.1, difference=0.03),
}
Errors = tuple[Tensor, Tensor, int, int]
"""Residual sum of squares over n and degrees of freedom of each penalty (P,), texts, texts that repeat no other."""


def _gcv(factor: float, spent: float, *, counted: bool) -> Callable[[Errors], int]:
    def choose(errors: Errors) -> int:
        rss_P, df_P, n, n_distinct = errors
        left_P = 1 - factor * df_P / (n_distinct if counted else n)
        return int(torch.where(left_P >= max(1 - spent, 1e-6), rss_P / left_P**2, torch.inf).argmin())

    return choose


RULES = {
    "GCV": _gcv(1, 1, counted=False),
    "1.4 df (Kim and Gu 2004)": _gcv(1.4, 1, counted=False),
    "distinct texts": _gcv(1, 1, counted=True),
    "at most .7 of n": _gcv(1, SPENT_AT_MOST, counted=False),
    "both (ours)": _gcv(1, SPENT_AT_MOST, counted=True),
}


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/results/repeated_texts.md"))
    options = parser.parse_args()
    figures: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    passes = sorted(options.work.glob("*/facts.json"))
    for place in passes:
        facts = json.loads(place.read_text(encoding="utf-8"))
        texts = np.load(place.with_name("rms.npy"), mmap_mode="r")
        for layer in np.linspace(2, len(texts) - 1, 4).round().astype(int):
            for title, setting in SETTINGS.items():
                rng = np.random.default_rng([int(layer), *place.parent.name.encode()])
                figures[title].append(measure(texts[layer].astype(float), facts, setting, rng))
        print(place.parent.name, flush=True)
    write_page(options.out, page(figures, len(passes)))


def page(figures: dict[str, list[list[tuple[float, float]]]], n_passes: int) -> list[str]:
    """Lines of the page: mean squared error and accuracy on test texts."""
    columns = [*RULES, "best in hindsight"]
    lines = [
        "# Repeated texts and the penalty of the ridge probe",
        "",
        f"Made by `{COMMAND}` from {n_passes} passes of state_conventions.py, four layers of each.",
        "Squared error on test texts (accuracy) of the penalty that each rule chooses.",
        "",
        f"| training texts | {' | '.join(columns)} |",
        f"|---|{'--:|' * len(columns)}",
    ]
    for title, rows in figures.items():
        mean = np.mean(rows, axis=0)
        lines.append(f"| {title} | " + " | ".join(f"{loss:.3f} ({hits:.3f})" for loss, hits in mean) + " |")
    return lines


def drawn(
    texts: np.ndarray, labels: np.ndarray, n: int, setting: Setting, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training texts and their labels as the setting wants them, and test texts of the same coordinates."""
    rows = rng.permutation(n)[: setting.texts]
    if setting.directions:
        texts = texts[:, rng.permutation(texts.shape[1])[: setting.directions]]
    train, test, classes = texts[rows].copy(), texts[n:], labels[rows].copy()
    if setting.rank:
        there = np.linalg.qr(rng.normal(size=(texts.shape[1], setting.rank)))[0]
        back = rng.normal(size=(setting.rank, texts.shape[1]))
        train, test = train @ there @ back, test @ there @ back
    copies = round(setting.copies * len(rows))
    if copies:
        first = len(rows) - copies
        source = rng.integers(0, first, copies)
        noise = setting.difference * train.std(0) * rng.normal(size=(copies, train.shape[1]))
        train[first:], classes[first:] = train[source] + noise, classes[source]
    return train, test, classes


def measure(
    texts: np.ndarray, facts: dict[str, object], setting: Setting, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Squared error and accuracy on test texts of each rule's penalty, and of the best one."""
    labels, n = np.array(facts["labels"]), int(str(facts["n_train"]))
    train, test, classes = (torch.tensor(part) for part in drawn(texts, labels, n, setting, rng))
    mean_D, spread_D = train.mean(0), train.std(0, correction=0).clamp(min=1e-12)
    train, test = (train - mean_D) / spread_D, (test - mean_D) / spread_D
    one_hot_NC, truth_MC = (
        torch.nn.functional.one_hot(each, int(str(facts["n_classes"]))).double()
        for each in (classes, torch.tensor(labels[n:]))
    )
    y_NC, n = one_hot_NC - one_hot_NC.mean(0), len(train)
    values_R, vectors_NR = torch.linalg.eigh(train @ train.T / n)
    kept = values_R > 1e-12 * values_R[-1]
    values_R, vectors_NR = values_R[kept], vectors_NR[:, kept]
    share_PR = values_R / (values_R + PENALTIES[:, None])
    energy_R = (vectors_NR.T @ y_NC).square().sum(1) / n
    rss_P = (y_NC.square().sum() / n - (2 * share_PR - share_PR**2) @ energy_R).clamp(min=0)
    errors = (rss_P, share_PR.sum(1) + 1, n, distinct_texts(train))
    along_MR, label_RC = test @ (train.T / n) @ vectors_NR, vectors_NR.T @ y_NC

    def on_test(place: int) -> tuple[float, float]:
        said_MC = along_MR @ (label_RC / (values_R + PENALTIES[place])[:, None]) + one_hot_NC.mean(0)
        hits = (said_MC.argmax(1) == truth_MC.argmax(1)).double().mean()
        return float((said_MC - truth_MC).square().sum(1).mean()), float(hits)

    hindsight = min((on_test(place) for place in range(len(PENALTIES))), key=lambda figure: figure[0])
    return [*(on_test(choose(errors)) for choose in RULES.values()), hindsight]


if __name__ == "__main__":
    main()
