"""Which score follows pretraining: rank correlations of each score with the losses and the F1 along one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np

from tokenworth.study.correlation import rank_correlation
from tokenworth.tracing.measurer import SCORES
from tokenworth.tracing.trace_result import Relation, TraceRow

FEWEST = 4
"""Checkpoints below which an order says nothing."""
LOWER_IS_BETTER = frozenset({"cv_loss", "k90"})


def relations(rows: Sequence[TraceRow]) -> list[Relation]:
    """Spearman correlations over the checkpoints of one task.

    Args:
        rows: of one task, as in `Trace.rows`.

    Returns:
        One row a score, layer ("chosen", by training texts; "last") and target: score, layer, target, n, r, p
        (permutations), low, high (bootstrap over checkpoints).  Targets: "loss", bits a byte of held-out text (of the
        task's own texts where the run has noted none), and "f1", the probe's on the test texts.  Signs are turned so
        that +1 means: better score, lower loss or higher F1.
    """
    losses = _column(rows, "bits_per_byte")
    losses = losses if all(map(math.isfinite, losses)) else _column(rows, "text_bits_per_byte")
    targets = {"loss": [-loss for loss in losses], "f1": [row["probe_f1"] for row in rows]}
    correlated = []
    for score in SCORES:
        sign = -1.0 if score in LOWER_IS_BETTER else 1.0
        for layer, prefix in (("chosen", ""), ("last", "last_")):
            values = [sign * value for value in _column(rows, prefix + score)]
            for target, wanted in targets.items():
                if (figures := _spearman(values, wanted)) is not None:
                    correlated.append(cast("Relation", {"score": score, "layer": layer, "target": target, **figures}))
    return correlated


def _spearman(values: list[float], wanted: list[float]) -> dict[str, float] | None:
    pairs = np.array([pair for pair in zip(values, wanted, strict=True) if all(map(math.isfinite, pair))])
    if len(pairs) < FEWEST or not (np.ptp(pairs, axis=0) > 0).all():
        return None
    return rank_correlation(pairs[:, 0], pairs[:, 1])


def _column(rows: Sequence[TraceRow], name: str) -> list[float]:
    return [math.nan if row.get(name) is None else float(row[name]) for row in rows]
