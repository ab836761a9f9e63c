"""Where predictions are off most, and what another draw of texts would move: parts of docs/results/decision.md."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokenworth.decision.predictor_evaluation import held_out_intervals, task_mean
from tokenworth.decision.predictors import DEFAULT

FAR = 9.0
"""Points from which a task is named."""


def misses(whole: pd.DataFrame, real: tuple[str, ...]) -> str:
    """A row a route and real backbone: the tasks that are off most, and the error without them."""
    lines = [
        "### Where they are off most\n",
        f"Tasks of the rows above that are off by {FAR:g} points or more (predicted less true), and the error without",
        "them.\n",
        "| backbone | route | error | tasks | without them |",
        "|---|---|--:|---|--:|",
    ]
    for route in sorted(set(whole["route"])):
        told = held_out_intervals(DEFAULT, whole[whole["route"] == route].reset_index(drop=True))
        for name in real:
            own = told[told["backbone"] == name].reset_index(drop=True)
            if len(own):
                off_T = 100 * (own["predicted"] - own["f1"]).groupby(own["task"]).mean()
                far = off_T[off_T.abs() >= FAR].sort_values(key=np.abs, ascending=False)
                rest = own[~own["task"].isin(far.index)].reset_index(drop=True)
                errors = [100 * task_mean((part["predicted"] - part["f1"]).abs(), part) for part in (own, rest)]
                named = ", ".join(f"{task} {miss:+.0f}" for task, miss in far.items()) or "-"
                lines.append(f"| {name} | {route} | {errors[0]:.1f} | {named} | {errors[1]:.1f} |")
    return "\n".join(lines)


def second_draws(whole: pd.DataFrame, real: tuple[str, ...]) -> str:
    """How far the figures of two draws of texts and weights lie apart, on real backbones."""
    lines = [
        "## What another draw moves\n",
        "Study `worth-real-seeds`: LoRA with other 600 texts of each part and another seed. Mean absolute difference",
        "of the two draws over tasks, in points of F1, and the largest.\n",
        "| backbone | tasks | F1 of LoRA | largest | of the probe | LoRA less probe | largest |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    runs = whole[(whole["route"] == "lora") & whole["backbone"].isin(real)]
    for name, own in runs.assign(gain=runs["f1"] - runs["probe_f1"]).groupby("backbone"):
        tables = [own.pivot_table(index="task", columns="seed", values=of) for of in ("f1", "probe_f1", "gain")]
        if 1 in tables[0]:
            lora, probe, gain = (100 * (table[1] - table[0]).dropna().abs() for table in tables)
            lines.append(
                f"| {name} | {len(lora)} | {lora.mean():.1f} | {lora.max():.1f} | {probe.mean():.1f} "
                f"| {gain.mean():.1f} | {gain.max():.1f} |"
            )
    return "\n".join(lines)
