"""Weighted F1 of every route along a run, under one resampling of the test texts.

All routes answered the same texts, so all are resampled together: a difference of two routes keeps what they share.
Axes: B resamples, N test texts, C classes, K checkpoints, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats, Ints
from tokenworth.tracing.trace_result import Figure

RESAMPLES = 1000
_WEIGHTS_AT_ONCE = 20_000_000


class Curve(NamedTuple):
    """One route at K checkpoints; a route without checkpoints (bow, scratch) has K = 1."""

    f1_K: Floats
    """Mean over seeds."""
    drawn_BK: Floats
    """Of each resample of texts, and of seeds where there are several."""

    def figure(self, place: int) -> Figure:
        """F1 at a checkpoint with its 95 % bootstrap interval."""
        low, high = np.quantile(self.drawn_BK[:, place], [0.025, 0.975])
        return {"f1": float(self.f1_K[place]), "low": float(low), "high": float(high)}


def make_curves(
    true_N: Ints, predicted: dict[str, list[list[Sequence[int]]]], n_classes: int, *, seed: int = 0
) -> dict[str, Curve]:
    """Curves of routes from their predictions.

    Args:
        true_N: labels of the test texts.
        predicted: by route, for each checkpoint, for each seed: the predicted classes (N).
        n_classes: C.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    flat = [np.asarray(classes, dtype=np.int64) for route in predicted.values() for seeds in route for classes in seeds]
    value_R, drawn_BR = _f1(true_N, flat, n_classes, rng)
    curves, place = {}, 0
    for route, checkpoints in predicted.items():
        values, draws = [], []
        for seeds in checkpoints:
            columns = slice(place, place := place + len(seeds))
            values.append(value_R[columns].mean())
            # seeds are resampled too where there are several
            picked_BS = rng.integers(len(seeds), size=(RESAMPLES, len(seeds)))
            draws.append(np.take_along_axis(drawn_BR[:, columns], picked_BS, axis=1).mean(1))
        curves[route] = Curve(np.array(values), np.stack(draws, axis=1))
    return curves


def _f1(true_N: Ints, predicted: list[Ints], n_classes: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Weighted F1 of each of R predictions: of the texts (R), and of RESAMPLES samples of them (B, R)."""
    n_texts = len(true_N)
    size = max(1, _WEIGHTS_AT_ONCE // n_texts)
    drawn = []
    for begin in range(0, RESAMPLES, size):
        count = min(size, RESAMPLES - begin)
        times_BN = rng.multinomial(n_texts, np.full(n_texts, 1 / n_texts), size=count).astype(np.float32)
        drawn.append(np.stack([weighted_f1(times_BN, true_N, classes_N, n_classes) for classes_N in predicted], axis=1))
    once_1N = np.ones((1, n_texts), dtype=np.float32)
    values = [weighted_f1(once_1N, true_N, classes_N, n_classes)[0] for classes_N in predicted]
    return np.array(values), np.concatenate(drawn)


def weighted_f1(times_BN: NDArray[np.float32], true_N: Ints, predicted_N: Ints, n_classes: int) -> Floats:
    """sum_c support_c F1_c / sum_c support_c, where text n stands in sample b as often as `times_BN` says (B)."""
    classes_C = np.arange(n_classes)
    is_true_NC, is_said_NC = true_N[:, None] == classes_C, predicted_N[:, None] == classes_C
    sums = (times_BN @ flags.astype(np.float32) for flags in (is_true_NC, is_said_NC, is_true_NC & is_said_NC))
    support_BC, said_BC, hits_BC = (sum_BC.astype(np.float64) for sum_BC in sums)
    f1_BC = 2 * hits_BC / np.maximum(support_BC + said_BC, 1)
    return np.asarray((f1_BC * support_BC).sum(1) / support_BC.sum(1))
