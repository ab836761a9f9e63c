"""What "better" means in a decision: the metric that routes are predicted, compared and advised by.

A decision is made in one metric.  Its tables have one column for what a route reached (`f1`) and one for each reference
of it (`probe_f1`, `bow_f1`, `majority_f1`); under another metric these hold that metric's values, and
`settings["metric"]` of the result says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tokenworth.decision.decide_settings import METRIC
from tokenworth.errors import SettingError

DEFAULT_METRIC = METRIC
IN_WORDS = {"weighted_f1": "weighted F1", "accuracy": "accuracy", "macro_f1": "macro F1"}
"""Metrics a decision can be made by: those that an assessment gives an interval of."""
_ALIASES = {"f1": DEFAULT_METRIC}
_OF_PROBE = {"weighted_f1": "f1"}
REFERENCES = ("probe", "bow", "majority")
OTHERS = tuple(
    column
    for metric in IN_WORDS
    if metric != DEFAULT_METRIC
    for column in (metric, *(f"{who}_{metric}" for who in REFERENCES))
)
"""Columns of calibration cells beside those of weighted F1."""


def metric_named(name: str) -> str:
    """The metric of a name or of its short form.

    Raises:
        SettingError: a decision cannot be made by it.
    """
    metric = _ALIASES.get(name, name)
    if metric not in IN_WORDS:
        raise SettingError(f"metric {name!r} is not one a decision can be made by; choose {', '.join(IN_WORDS)}")
    return metric


def of_probe(row: Mapping[str, Any], metric: str, end: str = "") -> float:
    """The metric of a row of an assessment's probes, or an end ("_low", "_high") of its 95 % interval."""
    return float(row[_OF_PROBE.get(metric, metric) + end])


def under(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Calibration cells by another metric; those of which it is not known are left out."""
    if metric == DEFAULT_METRIC:
        return cells
    moved = {"f1": cells[metric], **{f"{who}_f1": cells[f"{who}_{metric}"] for who in REFERENCES}}
    return cells.assign(**moved)[cells[metric].notna()].reset_index(drop=True)
