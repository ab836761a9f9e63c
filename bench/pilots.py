"""What a pilot adds to the prediction of a whole run, for docs/results/decision.md: cells with it and without."""

from __future__ import annotations

import pandas as pd

from tokenworth.decision.pilot import SHARES, line_without_pilot, pilot_line, pilot_pairs
from tokenworth.decision.predictor_evaluation import coverage, intervals_of

FEWEST_TASKS = 9
"""An interval at 90 % needs nine errors."""


def pilot_lines(cells: pd.DataFrame, real: tuple[str, ...]) -> str:
    """The section, a row for each route, share of the steps, and backbone; the small decoders in one."""
    lines = [
        "## What a pilot adds\n",
        "F1 of the whole run, predicted from other tasks on other backbones: without a pilot by a line through probe,",
        "bag of words and classes (scratch: the task alone), with it by a line through how far a short run of the same",
        "cell had come from the reference (probe; scratch: words). *As it is*: its F1 taken for the whole run's.",
        "Errors and widths in points; intervals at 90 %.\n",
        "| route | share of the steps | backbone | tasks | without | with | as it is | inside | width without | with |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for route in sorted(set(cells["route"])):
        for share in SHARES:
            pairs = pilot_pairs(cells, route, share)
            if pairs["task"].nunique() >= FEWEST_TASKS:
                lines += _rows(pairs, f"| {route} | {share:g}", real)
    return "\n".join(lines) if len(lines) > 7 else "## What a pilot adds\n\nNo short runs among these cells."


def _rows(pairs: pd.DataFrame, head: str, real: tuple[str, ...]) -> list[str]:
    told = [intervals_of(make, pairs) for make in (line_without_pilot, pilot_line)]
    kinds = {name: [name] for name in real} | {"small decoders": sorted(set(pairs["backbone"]) - set(real))}
    rows = []
    for kind, names in kinds.items():
        own = [table[table["backbone"].isin(names)].reset_index(drop=True) for table in told]
        if not len(own[1]):
            continue
        errors = [100 * (table["predicted"] - table["f1"]).abs().mean() for table in own]
        errors.append(100 * (own[1]["pilot_f1"] - own[1]["f1"]).abs().mean())
        found = [coverage(table) for table in own]
        rows.append(
            f"{head} | {kind} | {own[1]['task'].nunique()} | {' | '.join(f'{error:.1f}' for error in errors)} "
            f"| {found[1]['coverage']:.0%} | {100 * found[0]['width']:.0f} | {100 * found[1]['width']:.0f} |"
        )
    return rows
