"""Routes for the terminal: one run, and several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tokenworth.report.displayed_values import ABSENT, cut, duration, shown, tight
from tokenworth.report.result_protocols import AdaptLike, Row
from tokenworth.report.terminal.tables import plain_table

METRIC_NAMES = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "ece": "calibration error",
}


def adapt_table(result: AdaptLike) -> Table:
    """One line a metric: test split with its interval, and training texts."""
    backbone = f", {cut(result.backbone['name'], 50)}" if result.backbone else ""
    table = plain_table(f"{result.route}{backbone} on {cut(result.task['name'], 50)}")
    for head, side in (("metric", "left"), ("test", "right"), ("95 %", "left"), ("train", "right")):
        table.add_column(head, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for name, words in METRIC_NAMES.items():
        between = tight(result.metrics.get(f"{name}_low"), result.metrics.get(f"{name}_high"))
        cells = (words, shown(result.metrics.get(name)), between, shown(result.train_metrics.get(name)))
        table.add_row(*map(Text, cells), style="bold cyan" if name == result.settings.get("metric") else "")
    return table


def frame_table(frame: Any) -> Table:
    """A pandas table: names to the left, numbers with three decimals to the right."""
    table = plain_table("")
    table.title = None  # a title would be folded to the width of a narrow table
    filled = frame.loc[:, [bool((frame[column].astype(str) != "").any()) for column in frame.columns]]
    for column in filled.columns:
        numeric = filled[column].dtype.kind == "f"
        table.add_column(str(column).removeprefix("setting "), justify="right" if numeric else "left", overflow="fold")
    for row in filled.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else shown(value)


def comparison_table(rows: Sequence[Row], metric: str) -> Table:
    """One line a run; the tests are against the first."""
    table = plain_table("runs compared with the first")
    heads = ("run", "route", "backbone", METRIC_NAMES.get(metric, metric), "95 %", "F1 - first", "95 %", "p", "FLOPs",
             "time")  # fmt: skip
    for place, head in enumerate(heads):
        words = place in (0, 2)
        table.add_column(head, justify="left" if place < 3 else "right", no_wrap=not words, overflow="fold")
    for row in rows:
        first = row is rows[0]
        cells = (
            cut(row["run"], 60),
            row["route"],
            cut(row["backbone"] or ABSENT, 40),
            shown(row[metric]),
            tight(row[f"{metric}_low"], row[f"{metric}_high"]),
            "" if first else f"{row['f1_difference']:+.3f}",
            "" if first else f"{row['f1_difference_low']:+.3f} to {row['f1_difference_high']:+.3f}",
            "" if first else f"{row['p_value']:.2g}",
            f"{row['train_flops']:.1e}" if row["train_flops"] else ABSENT,
            duration(row["seconds"]),
        )
        table.add_row(*map(Text, cells))
    table.caption = Text("p: McNemar's exact test that this run and the first err on equally many texts")
    return table
