"""What the papers' printed runs are worth as evidence for `decide`: LoRA of the second, random weights of the first.

A part of docs/results/decision.md, which bench/decision.py writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from tokenworth.decision.calibration import published_cells
from tokenworth.decision.conformal import held_out_errors
from tokenworth.decision.outcomes import WITHOUT_PROBE
from tokenworth.decision.predictors import DEFAULT, LogOdds, Predictor, predictor
from tokenworth.study.published_relations import published

PUBLISHED_STEPS = 10_000.0
OTHER_TEXTS = "snli_premise"
"""A task of the table whose texts are half of those of ours."""


def lora_evidence(whole: pd.DataFrame) -> str:
    """Can the cells of small decoders predict the runs of large ones, and do these help?"""
    ours, theirs = whole[whole["route"] == "lora"].reset_index(drop=True), published_cells()

    def make() -> LogOdds:
        return LogOdds("probe and classes", ("probe_f1", "log_texts", "log_classes"))

    alone = make()
    alone.fit(ours)
    errors = {
        "theirs, learned from ours alone": np.abs(alone.predict(theirs) - theirs["f1"]).mean(),
        "theirs, learned from their other tasks": held_out_errors(make, theirs).mean_absolute(),
        "theirs, mean gain of their other tasks": held_out_errors(
            lambda: predictor("mean gain"), theirs
        ).mean_absolute(),
        "ours, learned from our other tasks": held_out_errors(make, ours).mean_absolute(),
        "ours, learned from our other tasks and theirs": _mean(
            [np.abs(e).mean() for e in _by_task(make, ours, theirs)]
        ),
    }
    lines = [f"| {what} | {100 * error:.1f} |" for what, error in errors.items()]
    return (
        "## The published LoRA runs\n\n96 runs of eight backbones (.3 to 8 B parameters) on 12 tasks; accuracy. "
        "Predictor: probe, texts and classes, all that is known of them.\n\n| predicted | error |\n|---|--:|\n"
        + "\n".join(lines)
    )


def _by_task(make: Callable[[], Predictor], ours: pd.DataFrame, theirs: pd.DataFrame) -> Iterator[np.ndarray]:
    """Errors on each task of ours, learned from all others of both."""
    for task in sorted(set(ours["task"])):
        line, own = make(), ours[ours["task"] == task]
        line.fit(pd.concat([part[part["task"] != task] for part in (ours, theirs)], ignore_index=True))
        yield line.predict(own) - own["f1"].to_numpy()


def scratch_evidence(whole: pd.DataFrame, real: Sequence[str]) -> str:
    """The same of the first paper's runs from random weights, each task described by what our cells say of it."""
    ours = whole[whole["route"] == "scratch"].reset_index(drop=True)
    theirs = _printed_scratch(ours)
    is_real = ours["backbone"].isin(real)
    targets = {"real backbones": ours[is_real], "small decoders": ours[~is_real], "their runs": theirs}
    sources = {"ours": [ours], "ours and theirs": [ours, theirs], "theirs": [theirs]}
    lines = [
        f"| {who} | {len(cells)} | {' | '.join(_error(cells, parts) for parts in sources.values())} |"
        for who, cells in targets.items()
        if len(cells)
    ]
    head = (
        f"{len(theirs)} cells of Table 1: {theirs['backbone'].nunique()} backbones on the {theirs['task'].nunique()} "
        "tasks whose texts we have, described by what our own cells say of the task. Predictor: the default. Mean "
        "absolute error and bias, every cell from other tasks on other backbones."
    )
    heads = " | ".join(f"learned from {name}" for name in sources)
    table = "\n".join([f"| predicted | cells | {heads} |", f"|---|--:|{'---|' * len(sources)}", *lines])
    return f"## The published runs from random weights\n\n{head}\n\n{table}"


def _printed_scratch(ours: pd.DataFrame) -> pd.DataFrame:
    """Table 1's cells in the columns of ours; what is known of a task is the mean over its longest-studied cells."""
    largest = ours[ours["log_texts"] == ours.groupby("task")["log_texts"].transform("max")]
    facts = largest.groupby("task")[list(WITHOUT_PROBE["scratch"])].mean()
    table = published("table1").query("route == 'scratch' and task != @OTHER_TEXTS")
    table = table[table["task"].isin(facts.index)]
    known = table.assign(f1=table["f1_percent"] / 100, steps=PUBLISHED_STEPS).join(facts, on="task")
    return known.reindex(columns=ours.columns).reset_index(drop=True)


def _error(cells: pd.DataFrame, parts: Sequence[pd.DataFrame]) -> str:
    errors = []
    for (task, backbone), own in cells.groupby(["task", "backbone"]):
        line = predictor(DEFAULT)
        line.fit(pd.concat([_without(part, task, backbone) for part in parts], ignore_index=True))
        errors += list(line.predict(own) - own["f1"].to_numpy())
    return f"{100 * _mean(list(np.abs(errors))):.1f} ({100 * _mean(errors):+.1f})"


def _without(cells: pd.DataFrame, task: object, backbone: object) -> pd.DataFrame:
    return cells[(cells["task"] != task) & (cells["backbone"] != backbone)]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
