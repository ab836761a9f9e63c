"""Disjoint groups of texts: for the jackknife, and for cross-validation on training texts."""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Ints


def grouped_folds(labels_N: Ints, n_folds: int, *, groups_N: Ints | None = None, seed: int = 0) -> Ints:
    """Fold of each text (N,), 0 .. n_folds - 1, fewer where there are fewer texts or groups; every class spread evenly.

    Texts of one group (pairs of one question, docstrings of one file) stay in one fold.  Of several labels a text
    (N, C) a text goes with the rarest of its own.
    """
    rng = np.random.default_rng(seed)
    labels_N = rarest_label(labels_N) if labels_N.ndim == 2 else labels_N
    units_N = np.arange(len(labels_N)) if groups_N is None else np.unique(groups_N, return_inverse=True)[1]
    n_units = int(units_N.max()) + 1
    # A unit goes with the class of its first text; within classes units are dealt out like cards.
    first = np.full(n_units, len(labels_N))
    np.minimum.at(first, units_N, np.arange(len(labels_N)))
    order = np.lexsort((rng.random(n_units), labels_N[first]))
    fold_of_unit = np.empty(n_units, dtype=np.int64)
    fold_of_unit[order] = np.arange(n_units) % min(n_folds, n_units)
    return fold_of_unit[units_N]


def rarest_label(labels_NC: Ints) -> Ints:
    """Of each text the label that fewest texts have (N,); C where it has none."""
    rank_C = labels_NC.sum(0).argsort(kind="stable").argsort()
    rank_NC = np.where(labels_NC > 0, rank_C, len(rank_C))
    return np.where(labels_NC.any(1), rank_NC.argmin(1), len(rank_C))


def stratified_part(labels_N: Ints, parts: int, seed: int) -> Ints:
    """Rows of one of so many parts, in rising order, with every class in proportion; all of them for one part."""
    if parts <= 1:
        return np.arange(len(labels_N))
    return np.flatnonzero(grouped_folds(labels_N, parts, seed=seed) == 0)
