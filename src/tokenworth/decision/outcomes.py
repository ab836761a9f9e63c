"""Outcomes as predictors see them: log odds of F1, against a figure that is known before anything is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokenworth.base.aliases import Floats

REFERENCE = {"prompt": "majority_f1", **dict.fromkeys(("lora", "full", "contrastive"), "probe_f1"), "scratch": "bow_f1"}
"""The figure known beforehand that the outcome of a route is seen against.  Training from random weights begins with
nothing that a pretrained network knows, so that it is seen against a bag of words and not against the probe."""
WITHOUT_PROBE = {"scratch": ("bow_f1", "majority_f1", "log_classes", "log_texts", "log_length")}
"""What predicts a route that begins with random weights: the task alone."""
_EDGE = 0.005


def reference(cells: pd.DataFrame, column: str | None = None) -> Floats:
    """The F1 known beforehand that the route of each row is seen against (N)."""
    if column is not None:
        return cells[column].to_numpy(dtype=float)
    route_N, reference_N = cells["route"].to_numpy(), np.full(len(cells), np.nan)
    for route in set(route_N):
        here_N = route_N == route
        reference_N[here_N] = cells[REFERENCE[route]].to_numpy(dtype=float)[here_N]
    return reference_N


def log_odds(f1: Floats) -> Floats:
    """ln(F1 / (1 - F1)), F1 kept .005 away from 0 and 1."""
    kept = np.clip(f1, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(kept / (1 - kept)))


def known_columns(cells: pd.DataFrame, indicators: tuple[str, ...], *, odds: bool = False) -> Floats:
    """Indicators side by side (N, F), F1s among them as log odds where asked; a column of zeros where none is named."""
    columns = []
    for name in indicators:
        column = cells[name].to_numpy(dtype=float)
        columns.append(log_odds(column) if odds and name.endswith("_f1") else column)
    return np.column_stack(columns) if columns else np.zeros((len(cells), 1))
