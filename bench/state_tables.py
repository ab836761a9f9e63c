"""Tables of what `state_conventions.py` kept: which states the scores should read, and which pooling the probe.

    python bench/state_tables.py --work FOLDER [--out docs/results/states.md]

For each model and task a ridge probe is fitted to every layer and reading (it resumes: a file a pass), then the tables
are printed: how far each score follows the probe from layer to layer under each convention; what each reading brings at
the layer that cross-fitted loss chooses; what choosing among all brings, and its price; what other scores would choose;
where massive activations are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from state_conventions import CONVENTIONS
from tokenworth.assessment.layer_choice import Candidate, choose_layer
from tokenworth.encode import Reading, normalised
from tokenworth.probes import grouped_folds, ridge_probe
from tokenworth.scores import PooledMoments, hscore, logme
from tokenworth.scores.pooled import add_up

INTRODUCTION = """# Which states scores read, and which pooling a probe

Made by `python bench/state_conventions.py --models FOLDER ... --data TASKS --work FOLDER`, then `python
bench/state_tables.py --work FOLDER --out docs/results/states.md`: up to 500 training and 400 test texts a task, cut
at 64 tokens, every third layer (second, of models with fewer than 20), bfloat16. Readings are of normalised states
unless they are called raw.

First table of a model: Spearman's rank correlation over layers between a score and the probe (minus the cross-fitted
loss of the best reading), mean over tasks. Conventions: raw, as published; rest, without each text's first token;
std, coordinates standardised; rms, each state over its root mean square; rms_std, both, which is what `--states
normalised` means. Second: each reading at the layer that its own cross-fitted loss chooses. Third: means of a reading
over ranges of layers. Fourth: what choosing among several brings, by the choice's own figure, nested (each fold's
candidate is chosen without it), and on test texts, which nothing was chosen by. Fifth: test accuracy where layer and
reading (mean, raw; mean; last; last+mean) are chosen by the cross-fitted loss, by LogME or by the H-score of the
pooled texts, beside the mean of raw states at its own best layer and the best of all in hindsight.
"""
KINDS = ("mean", "rest", "rms", "last")
KEPT = ("loss", "right", "test", "logme", "hscore")
Rows = Callable[[str], np.ndarray]
SCORES = ("hscore", "logme", "ar_r2", "ntps", "retained_auc")
FOLDS = 5


def over_size(rows_ND: np.ndarray) -> np.ndarray:
    """Rows over their root mean squares."""
    return normalised(torch.from_numpy(rows_ND)).numpy()


READINGS: dict[str, Callable[[Rows], np.ndarray]] = {
    "mean, raw": lambda rows: rows("mean"),
    "mean without the first token, raw": lambda rows: rows("rest"),
    "mean": lambda rows: rows("rms"),
    "mean of raw states over its size": lambda rows: over_size(rows("mean")),
    "last, raw": lambda rows: rows("last"),
    "last": lambda rows: over_size(rows("last")),
    "last+mean, raw": lambda rows: np.concatenate([rows("last"), rows("mean")], 1),
    "last+mean": lambda rows: np.concatenate([over_size(rows("last")), rows("rms")], 1),
}
"""States are normalised unless they are called raw."""
CHOSEN = ("mean, raw", "mean", "last", "last+mean")
"""Candidates of `assess`; here last+mean on every layer that was kept."""
SHARES = {"all layers": 0.0, "upper half": 0.5, "upper quarter": 0.75}
RANGES = {f"{name}, {title}": (name, share) for name in ("mean", "last+mean") for title, share in SHARES.items()}
"""Means of a reading over a range of layers: which, and from what share of the depth on."""


@dataclass(frozen=True)
class Probed:
    """The probes of one model on one task.  Axes: K (layer, reading), N training texts."""

    facts: dict[str, Any]
    names: list[tuple[int, str]]
    loss_KN: np.ndarray
    right_KN: np.ndarray  # cross-fitted
    test_K: np.ndarray  # accuracy
    logme_K: np.ndarray
    hscore_K: np.ndarray

    @property
    def folds(self) -> np.ndarray:
        """Of the training texts."""
        return folds_of(self.facts)

    def of(self, reading: str) -> list[int]:
        """Places of a reading's probes, by layer."""
        return [k for k, (_, name) in enumerate(self.names) if name == reading]


def folds_of(facts: dict[str, Any]) -> np.ndarray:
    """The folds of the training texts (N,)."""
    return grouped_folds(np.array(facts["labels"][: facts["n_train"]]), FOLDS, seed=0)


def probe(place: Path) -> Probed:
    """Fit every probe, or read those that were fitted."""
    facts, kept = json.loads((place / "facts.json").read_text()), place / "probed.npz"
    layers = list(enumerate(facts["layers"]))
    tried = [(layer, name, [row], READINGS[name]) for row, layer in layers for name in READINGS]
    for title, (name, share) in RANGES.items():
        rows = [row for row, layer in layers if layer >= share * facts["layers"][-1]]
        tried.append((-1, title, rows, READINGS[name]))
    names = [(layer, name) for layer, name, *_ in tried]
    if not kept.is_file():
        results = [fit(place, facts, rows, read) for _, _, rows, read in tried]
        arrays = [np.stack(values) for values in zip(*results, strict=True)]
        save(kept, dict(zip(KEPT, arrays, strict=True)))
        print(f"probed {place.name}", flush=True)
    with np.load(kept) as arrays:
        return Probed(facts, names, *(arrays[name] for name in KEPT))


def save(place: Path, arrays: dict[str, Any]) -> None:
    """Write an npz file that is whole or not there."""
    np.savez(place.with_suffix(".part.npz"), **arrays)
    place.with_suffix(".part.npz").rename(place)


def fit(place: Path, facts: dict[str, Any], rows: list[int], read: Callable[[Rows], np.ndarray]) -> tuple[Any, ...]:
    """Of a reading's mean over rows (layers): losses (N,) and hits (N,) of the cross-fitted probe, its accuracy on the
    test texts, LogME and H-score.
    """
    kinds = {kind: np.load(place / f"{kind}.npy", mmap_mode="r") for kind in KINDS}
    values = np.mean([read({kind: array[row].copy() for kind, array in kinds.items()}.__getitem__) for row in rows], 0)
    texts, n = torch.from_numpy(values).double(), facts["n_train"]
    labels, folds = torch.tensor(facts["labels"]), torch.from_numpy(folds_of(facts))
    train, width = texts[:n], texts.shape[1]
    groups = [
        PooledMoments(width, facts["n_classes"], shift_D=train.mean(0)).update(
            train[folds == fold], labels[:n][folds == fold]
        )
        for fold in range(FOLDS)
    ]
    total = add_up(groups).with_texts(train)
    fitted = ridge_probe(train, labels[:n], folds, texts[n:], total=total)
    right, hits = (fitted.crossfit_N == labels[:n]).numpy(), float((fitted.test_M == labels[n:]).double().mean())
    return fitted.loss_N.numpy(), right, hits, logme(total), hscore(total)


def follows(passes: list[Probed]) -> Iterator[str]:
    """Rank correlation of each score with the probe over the layers, mean over tasks."""
    yield "| score | " + " | ".join(CONVENTIONS) + " |"
    yield "|---|" + "--:|" * len(CONVENTIONS)
    for score in SCORES:
        cells = []
        for convention in CONVENTIONS:
            values = [correlation(one, score, convention) for one in passes]
            cells.append(f"{np.nanmean(values):.2f}" if not np.all(np.isnan(values)) else "-")
        yield f"| {score} | " + " | ".join(cells) + " |"


def correlation(one: Probed, score: str, convention: str) -> float:
    """Spearman's, between a score and minus the loss of the best of the readings that are chosen from, over layers."""
    best = np.min([one.loss_KN[one.of(reading)].mean(1) for reading in CHOSEN], axis=0)
    values = np.array([row[convention].get(score, np.nan) for row in one.facts["scores"]])
    there = ~np.isnan(values)
    return float(spearmanr(values[there], -best[there])[0]) if there.sum() > 4 else float("nan")


def readings(passes: list[Probed]) -> Iterator[str]:
    """Each reading at the layer its own loss chooses."""
    yield "| reading | cross-fitted loss | test accuracy | best reading in |"
    yield "|---|--:|--:|--:|"
    losses = {name: [one.loss_KN[one.of(name)].mean(1).min() for one in passes] for name in READINGS}
    least = np.argmin([losses[name] for name in READINGS], axis=0)
    winners = [list(READINGS)[k] for k in least]
    for name in READINGS:
        tests = [one.test_K[one.of(name)][one.loss_KN[one.of(name)].mean(1).argmin()] for one in passes]
        yield f"| {name} | {np.mean(losses[name]):.4f} | {np.mean(tests):.4f} | {winners.count(name)} |"


def ranges(passes: list[Probed]) -> Iterator[str]:
    """Means over ranges of layers beside the layer that the loss chooses."""
    yield "| reading | cross-fitted loss | test accuracy | less loss than the chosen layer in |"
    yield "|---|--:|--:|--:|"
    for name in ("mean", "last+mean"):
        losses = np.array([one.loss_KN[one.of(name)].mean(1).min() for one in passes])
        tests = [one.test_K[one.of(name)][one.loss_KN[one.of(name)].mean(1).argmin()] for one in passes]
        yield f"| {name}, chosen layer | {losses.mean():.4f} | {np.mean(tests):.4f} | - |"
        for title in (title for title, (reading, _) in RANGES.items() if reading == name):
            places = [one.of(title)[0] for one in passes]
            mine = np.array([one.loss_KN[k].mean() for one, k in zip(passes, places, strict=True)])
            tests = [one.test_K[k] for one, k in zip(passes, places, strict=True)]
            yield f"| {title} | {mine.mean():.4f} | {np.mean(tests):.4f} | {(mine < losses).sum()} of {len(passes)} |"


def choice(passes: list[Probed]) -> Iterator[str]:
    """What choosing brings and costs: accuracy by its own figure, nested, and on test texts."""
    yield "| candidates | number | cross-fitted accuracy | nested | test |"
    yield "|---|--:|--:|--:|--:|"
    for title, allowed in (("mean, raw (before)", ("mean, raw",)), ("mean", ("mean",)), (", ".join(CHOSEN), CHOSEN)):
        figures = np.mean([chosen(one, allowed) for one in passes], axis=0)
        number = np.mean([sum(name in allowed for _, name in one.names) for one in passes])
        yield f"| {title} | {number:.0f} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |"


def chosen(one: Probed, allowed: tuple[str, ...]) -> tuple[float, float, float]:
    """Cross-fitted, nested and test accuracy of the candidate with the least loss."""
    places = [k for k, (_, name) in enumerate(one.names) if name in allowed]
    losses = {Candidate(one.names[k][0], Reading(one.names[k][1])): one.loss_KN[k] for k in places}
    choice = choose_layer(losses, one.folds)
    best = places[list(losses).index(choice.best)]
    nested = one.right_KN[places][choice.nested_N, np.arange(one.right_KN.shape[1])].mean()
    return one.right_KN[best].mean(), nested, one.test_K[best]


def by_score(passes: list[Probed]) -> Iterator[str]:
    """Test accuracy, by task, of the layer and reading that each score chooses."""
    titles = ("mean, raw", "cross-fitted loss", "LogME", "H-score", "best in hindsight")
    yield f"| task | {' | '.join(titles)} |"
    yield "|---|" + "--:|" * len(titles)
    rows = {one.facts["task"]: by_each_score(one) for one in passes}
    for task, row in [*rows.items(), ("mean", np.mean(list(rows.values()), axis=0))]:
        yield f"| {task} | " + " | ".join(f"{figure:.3f}" for figure in row) + " |"


def by_each_score(one: Probed) -> list[float]:
    """The row of a task."""
    mean = np.array(one.of("mean, raw"))
    all_K = np.array([k for k, (_, name) in enumerate(one.names) if name in CHOSEN])
    loss_K = one.loss_KN.mean(1)
    best = [mean[loss_K[mean].argmin()], all_K[loss_K[all_K].argmin()]]
    best += [all_K[np.nanargmax(score_K[all_K])] for score_K in (one.logme_K, one.hscore_K)]
    return [*(float(one.test_K[k]) for k in best), float(one.test_K[all_K].max())]


def joined(passes: list[Probed]) -> Iterator[str]:
    """Whether last+mean is at its best on a layer that is good with one of its parts."""
    ranks = []
    for one in passes:
        single = np.min([one.loss_KN[one.of(name)].mean(1) for name in CHOSEN if "+" not in name], axis=0)
        layer = one.loss_KN[one.of("last+mean")].mean(1).argmin()
        ranks.append(int((single < single[layer]).sum()) + 1)
    yield (
        f"The layer where last+mean has the least loss is the best one with a single reading in {ranks.count(1)} of "
        f"{len(ranks)} passes, among the best four in {sum(rank <= 4 for rank in ranks)}."
    )


def massive(passes: list[Probed]) -> Iterator[str]:
    """How long first tokens' states are beside the others', by layer."""
    facts = passes[0].facts
    yield "layers " + ", ".join(map(str, facts["layers"])) + ": first token's state over the others' (geometric means) "
    yield ", ".join(f"{ratio:.0f}" for ratio in np.mean([one.facts["sink"] for one in passes], axis=0))


def main() -> None:
    """Fit what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    by_model: dict[str, list[Probed]] = {}
    for facts in sorted(arguments.work.glob("*/facts.json")):
        by_model.setdefault(facts.parent.name.partition("--")[0], []).append(probe(facts.parent))
    lines = [INTRODUCTION]
    for model, passes in by_model.items():
        tasks = ", ".join(one.facts["task"] for one in passes)
        lines += [f"## {model}", "", f"{len(passes)} tasks: {tasks}.", ""]
        for table in (follows, readings, ranges, choice, by_score, joined, massive):
            lines += [*table(passes), ""]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
