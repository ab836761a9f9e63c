"""What several labels a text take: splits that keep rare labels and pairs, thresholds, and the six routes.

    python bench/several_labels.py --models MODEL,MODEL=probe+lora [--out out/several_labels] [--texts 700]

The task is docstring-sections: real summaries of docstrings, whose labels are the sections below them, and beside it
one made up, in which a label shows in words of its own and 20 pairs of labels are rare.  Every run is kept in --out, so
the command goes on where it was.  The tables go to docs/results/several_labels.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from pages import write_page
from tokenworth.adaptation import AdaptResult, adapt
from tokenworth.base.versions import describe_environment
from tokenworth.probes.label_set_metrics import label_set_value
from tokenworth.probes.label_thresholds import FEWEST, choose_thresholds, shared_threshold
from tokenworth.tasks import Split, Task, load_task
from tokenworth.tasks.split import split
from tokenworth.tasks.task import count

PAGE = Path(__file__).parents[1] / "docs" / "results" / "several_labels.md"
SEEDS = range(10)
FIGURES = ("micro_f1", "macro_f1", "samples_f1", "weighted_f1", "accuracy")
MODELS = "TINYSTORIES,all-minilm-l6-v2=probe+lora+full,smollm2-135m=probe+lora"
"""What the page was made with."""
CHEAP = ("bow", "probe")
"""Routes that the made-up task is tried with: of splits and thresholds it tells much, of models little."""
HEADS = ("micro F1", "macro F1", "samples F1", "weighted F1", "all right")


def main() -> None:
    """Run what has not been run yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="smollm2-135m")
    parser.add_argument("--out", type=Path, default=Path("out/several_labels"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--texts", type=int, default=700)
    parser.add_argument("--routes", default="bow,probe,lora,full,scratch,prompt")
    options = parser.parse_args()
    real = load_task("docstring-sections").sample(options.texts)
    tasks = {"docstring-sections": real, "made up": made_up()}
    lines = [*head(tasks), "## Splits", "", *split_table(tasks), "## Thresholds", "", *threshold_table(tasks)]
    lines += ["## Routes", "", *route_head()]
    for name, task in tasks.items():
        for route, model in wanted(options, CHEAP if name == "made up" else options.routes.split(",")):
            lines.append(route_row(task, route, model, options.out))
            write_page(options.page, lines)


def wanted(options: argparse.Namespace, routes: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Routes and models, the cheapest first; a model with names of routes behind = goes those alone."""
    if "bow" in routes:
        yield "bow", None
    for route, entry in product([route for route in routes if route != "bow"], options.models.split(",")):
        model, _, only = entry.partition("=")
        if not only or route in only.split("+"):
            yield route, model


def made_up(n: int = 1400, n_labels: int = 8, seed: int = 0) -> Task:
    """Texts of ten words that all use and, for each label, two of six of its own; 20 pairs stand in ten texts each."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, n_labels)) < np.linspace(0.3, 0.03, n_labels)).astype(np.uint8)
    labels[labels.sum(1) > 1] = 0
    pairs = list(combinations(range(n_labels), 2))[:20]
    rows = rng.permutation(n)[: 10 * len(pairs)].reshape(len(pairs), 10)
    for pair, of_pair in zip(pairs, rows, strict=True):
        labels[of_pair] = 0
        labels[of_pair[:, None], np.array(pair)] = 1
    texts = [made_up_text(row, rng) for row in labels]
    train, test = split(labels, 0.3, seed)
    parts = [Split([texts[i] for i in part], labels[part]) for part in (train, test)]
    names = tuple(f"label {c}" for c in range(n_labels))
    return Task("made up", "made up", names, parts[0], parts[1], (), count(parts[0], parts[1], n_labels), seed)


def made_up_text(row: np.ndarray, rng: np.random.Generator) -> str:
    """Half of a label's words are also used without it, so that no label is told by one word."""
    words = [f"word{i}" for i in rng.integers(0, 60, 10)]
    words += [f"own{c}x{i}" for c in np.flatnonzero(row) for i in rng.integers(0, 6, 2)]
    words += [f"own{c}x{i}" for c, i in zip(rng.integers(0, len(row), 2), rng.integers(0, 3, 2), strict=True)]
    return " ".join(rng.permutation(words))


def head(tasks: dict[str, Task]) -> list[str]:
    """What was measured on what."""
    versions = describe_environment()
    said = []
    for name, task in tasks.items():
        sets, rows = task.counts["label_sets"]["train"], task.counts["rows"]
        rarest = min(task.counts["classes"]["train"])
        said.append(
            f"- {name}: {task.n_classes} labels, {sets['mean']:.2f} a text in the mean, {sets['sets']} different sets, "
            f"the rarest label in {rarest} training texts; {rows['train']:,} training and {rows['test']:,} test texts."
        )
    return [
        "# Several labels a text",
        "",
        f"torch {versions.get('torch')}, scikit-learn {versions.get('scikit-learn')}, on a processor.",
        "",
        *said,
        "",
        f"    python bench/several_labels.py --models {MODELS}",
        "",
    ]


def split_table(tasks: dict[str, Task]) -> list[str]:
    """How far shares in a test part of three tenths are from three tenths: labels and pairs of three texts or more."""
    rows = [
        "Three tenths of the training texts are held out, over ten seeds: mean distance of a label's, and of a pair's,",
        "share in the held-out part from .3, and labels and pairs (of three texts or more) that have no text there.",
        "",
        "| task | split | labels off by | pairs off by | labels missing | pairs missing |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, task in tasks.items():
        labels = task.train.labels.astype(np.int64)
        for how, held_out in SPLITS.items():
            figures = np.mean([off(labels, held_out(labels, seed)) for seed in SEEDS], axis=0)
            cells = [f"{figures[0]:.3f}", f"{figures[1]:.3f}", f"{figures[2]:.1f}", f"{figures[3]:.1f}"]
            rows.append(f"| {name} | {how} | {' | '.join(cells)} |")
    return [*rows, ""]


def at_random(labels_NC: np.ndarray, seed: int) -> np.ndarray:
    """As many rows, drawn without looking at labels."""
    return np.random.default_rng(seed).permutation(len(labels_NC))[: round(0.3 * len(labels_NC))]


def iterative(labels_NC: np.ndarray, seed: int) -> np.ndarray:
    """Rows that `split` holds out."""
    return split(labels_NC, 0.3, seed)[1]


SPLITS = {"at random": at_random, "iterative, with pairs": iterative}


def off(labels_NC: np.ndarray, held_out: np.ndarray) -> list[float]:
    """Mean distance from .3 of labels and of pairs, and how many of each are missing."""
    pairs = list(combinations(range(labels_NC.shape[1]), 2))
    both = np.stack([labels_NC[:, a] & labels_NC[:, b] for a, b in pairs], axis=1)
    distances, missing = [], []
    for every in (labels_NC, both):
        held = every[:, every.sum(0) >= 3]
        there = held[held_out].sum(0)
        distances.append(float(np.abs(there / held.sum(0) - 0.3).mean()))
        missing.append(float((there == 0).sum()))
    return [*distances, *missing]


def threshold_table(tasks: dict[str, Task]) -> list[str]:
    """The bag of words at a half, at one threshold for all labels and at one for each, over three seeds."""
    rows = [
        "The bag of words, mean over three seeds of the validation part (a tenth of the training texts): labels are",
        "given from a probability of a half on, from one that is best for all labels together, or from one for each",
        f"label that so many validation texts have and lack (the others take the shared one; `adapt`: {FEWEST}).",
        "",
        f"| task | thresholds | {' | '.join(HEADS)} |",
        f"|---|---|{'--:|' * len(HEADS)}",
    ]
    for name, task in tasks.items():
        each = [at_thresholds(task, seed) for seed in range(3)]
        for how in each[0]:
            means = np.mean([found[how] for found in each], axis=0)
            rows.append(f"| {name} | {how} | {' | '.join(f'{value:.3f}' for value in means)} |")
    return [*rows, ""]


def at_thresholds(task: Task, seed: int) -> dict[str, list[float]]:
    """FIGURES on the test texts, by how thresholds are chosen on the same validation part."""
    from tokenworth.probes import fit_bag_of_words
    from tokenworth.probes.label_set_metrics import sigmoid

    kept, cut = split(task.train.labels, 0.1, seed, task.train.units())
    train, part = task.train.take(kept), task.train.take(cut)
    model = fit_bag_of_words(train.texts, train.labels, task.n_classes, groups_N=train.units(), seed=seed)
    held_out_NC, test_NC = (sigmoid(model.scores(texts)) for texts in (part.texts, task.test.texts))
    half_C = np.full(task.n_classes, 0.5)
    ways = {
        "a half": half_C,
        "one for all labels": half_C * 0 + shared_threshold(part.labels, held_out_NC),
    }
    for fewest in (1, 10, 25, 50):
        chosen_C = choose_thresholds(part.labels, held_out_NC, fewest=fewest)
        ways[f"one for each label of {fewest} texts or more"] = chosen_C
    return {how: [label_set_value(name, task.test.labels, test_NC, at) for name in FIGURES] for how, at in ways.items()}


def route_head() -> list[str]:
    """The table's first lines."""
    return [
        "Each route with its own settings (docs/routes.md), thresholds chosen on a tenth of the training texts;",
        "weighted F1 with its 95 % interval over test texts.",
        "",
        f"| task | route | model | {' | '.join(HEADS)} | trained FLOPs | seconds |",
        f"|---|---|---|{'--:|' * (len(HEADS) + 2)}",
    ]


def route_row(task: Task, route: str, model: str | None, out: Path) -> str:
    """One run, or what is kept of it."""
    folder = out / "-".join(part for part in (task.name, route, Path(model or "").name) if part).replace(" ", "-")
    result: AdaptResult = adapt(model, task, route, config={"mislabelled": False}, out=folder)
    metrics: dict[str, Any] = result.metrics
    cells = [f"{metrics[name]:.3f}" for name in FIGURES]
    cells[3] += f" ({metrics['weighted_f1_low']:.2f} to {metrics['weighted_f1_high']:.2f})"
    flops = result.cost.get("train_flops")
    print(f"{folder.name}: micro F1 {cells[0]}, {result.cost['seconds']:.0f} s", flush=True)
    named = Path(model).name if model else ""
    spent = f"{flops:.1e}" if flops else ""
    return f"| {task.name} | {route} | {named} | {' | '.join(cells)} | {spent} | {result.cost['seconds']:,.0f} |"


if __name__ == "__main__":
    main()
