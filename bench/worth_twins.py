"""What the architecture alone brings: probes of the same networks with random weights (study worth-real-twins)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tokenworth.assessment import Assessment
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.decision.indicators import indicators_of
from tokenworth.decision.predictor_evaluation import clustered
from tokenworth.study import StudyStore
from tokenworth.study.grid import ASSESS
from tokenworth.study.results_table import named_cells
from tokenworth.study.study_store import ASSESSED

COLUMNS = ("backbone", "task", "twin")
_FEWEST = 3
"""Tasks, for a mean with an interval."""


def twins_of(folder: Path) -> pd.DataFrame:
    """COLUMNS of every assessment of a twin in a study's folder; twin: weighted F1 of its probe on test texts."""
    store, rows = StudyStore(folder), []
    cells, names = named_cells(None, store)
    for cell, key in cells:
        place = store.run_folder(key)
        if cell.route == ASSESS and (place / ASSESSED).is_file() and str(cell.backbone).endswith(RANDOM_SUFFIX):
            task, backbone = names.of(cell)
            said = indicators_of(Assessment.load(place), {})
            rows.append((str(backbone).removesuffix(RANDOM_SUFFIX), task, round(said["probe_f1"], 5)))
    return pd.DataFrame(sorted(rows), columns=list(COLUMNS))


def twin_table(twins: pd.DataFrame, places: pd.DataFrame) -> str:
    """Probes of pretrained and random weights beside words, by backbone; `places` has one row a backbone and task."""
    lines = [
        "## What the architecture alone brings\n",
        "Probes of the same networks with random weights, layer and pooling chosen the same way, beside pretrained",
        "ones: percent, means over the tasks of the row; differences in points, 95 % bootstrap intervals over tasks.\n",
        "| backbone | tasks | bow | probe, random | probe, pretrained | pretrained - random | random - bow |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for backbone, own in places.merge(twins, on=["backbone", "task"]).groupby("backbone"):
        if len(own) < _FEWEST:
            continue
        means = " | ".join(f"{100 * own[name].mean():.1f}" for name in ("bow", "twin", "probe"))
        gains = " | ".join(_difference(own, *pair) for pair in (("probe", "twin"), ("twin", "bow")))
        lines.append(f"| {backbone} | {len(own)} | {means} | {gains} |")
    return "\n".join(lines)


def _difference(own: pd.DataFrame, first: str, second: str) -> str:
    value_N = (own[first] - own[second]).to_numpy()
    low, high = clustered(value_N, np.arange(len(value_N)))
    return f"{100 * value_N.mean():+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
