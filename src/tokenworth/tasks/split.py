"""Stratified, seeded splits and samples of row indices, with or without groups; labels in, indices out.

Labels are classes (N,), one a text, or 0 and 1 (N, C) where a text may have several of C labels; these are divided by
`iterative_stratification`.
"""

from __future__ import annotations

import numpy as np

from tokenworth.tasks.iterative_stratification import draw

KEPT_IN_TRAIN = 2  # texts of every class that no split takes out of train: one to learn from and one to validate on


def quotas(counts: np.ndarray, total: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many rows of each class make up `total`, in proportion to `counts` by largest remainders.

    Args:
        counts: (C,) rows there are of each class.
        total: rows wanted in all.
        low: (C,) least number for each class.
        high: (C,) largest number for each class; low <= high <= counts.

    Returns:
        (C,) int64 between low and high; it sums to `total` unless the bounds forbid it, and without active bounds
        differs from the exact proportion by less than one.
    """
    exact = counts * (total / max(1, counts.sum()))
    quota = np.clip(np.floor(exact).astype(np.int64), low, high)
    while quota.sum() < total and (quota < high).any():
        quota[np.argmax(np.where(quota < high, exact - quota, -np.inf))] += 1
    while quota.sum() > total and (quota > low).any():
        quota[np.argmax(np.where(quota > low, quota - exact, -np.inf))] -= 1
    return quota


def texts_of_each(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """(C,) how many texts have each class or label; of several labels a text counts for each of its own."""
    return labels.sum(0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=n_classes)


def sample(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Indices of a stratified sample in rising order: `size` rows, but at least two of every class that has two.

    All are returned where there are no more; `labels` are (N,) integers, or (N, C) of several labels a text.
    """
    if size >= len(labels):
        return np.arange(len(labels))
    if labels.ndim == 2:
        return _sample_of_several(labels, size, np.random.default_rng(seed))
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    quota = quotas(counts, size, np.minimum(counts, 2), counts)
    return _draw(classes, quota, np.random.default_rng(seed))


def split(
    labels: np.ndarray, share: float, seed: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Train and test indices, each in rising order; together every row once.

    Without groups every class is divided in proportion (largest remainders), but keeps at least two rows in train, and
    one in test where it has three or more.  With groups all rows of a group go to one side, as near to that as the
    groups allow.

    Args:
        labels: (N,) class indices, or (N, C) of several labels a text.
        share: share of the rows in test, in (0, 1).
        seed: seed of the draw.
        groups: (N,) group ids, or None.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        test = _group_test(labels, groups, share, rng)
    elif labels.ndim == 2:
        high = np.maximum(texts_of_each(labels, 0) - KEPT_IN_TRAIN, 0)
        test = draw(labels, round(share * len(labels)), np.minimum(high, 1), high, rng)
    else:
        counts = np.bincount(labels)
        high = np.maximum(counts - KEPT_IN_TRAIN, 0)
        quota = quotas(counts, round(share * len(labels)), np.minimum(high, 1), high)
        test = _draw(labels, quota, rng)
    return np.setdiff1d(np.arange(len(labels)), test), test


def _sample_of_several(labels_NC: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` rows with labels in proportion, and more only where two texts of every label take more."""
    counts_C = texts_of_each(labels_NC, 0)
    low_C = np.minimum(counts_C, 2)
    rows = draw(labels_NC, size, low_C, counts_C, rng)
    drawn_N = np.zeros(len(labels_NC), dtype=bool)
    drawn_N[rows] = True
    surplus, held_C = len(rows) - size, texts_of_each(labels_NC[rows], 0)
    for row in rng.permutation(rows):
        if surplus > 0 and (held_C - labels_NC[row] >= low_C).all():
            drawn_N[row], surplus, held_C = False, surplus - 1, held_C - labels_NC[row]
    missing = max(0, size - int(drawn_N.sum()))
    drawn_N[rng.permutation(np.flatnonzero(~drawn_N))[:missing]] = True
    return np.flatnonzero(drawn_N)


def _draw(classes: np.ndarray, quota: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`quota` (C,) random rows of each class, in rising order."""
    order = rng.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]  # by class, random within each
    counts = np.bincount(classes, minlength=len(quota))
    rank = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < np.repeat(quota, counts)])


def _group_test(labels: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of the groups that go to test.

    Groups are dealt out from the largest to the smallest, equal ones in random order.  Each goes to the side that
    leaves the two sides filled most evenly: the sum over classes of (rows placed in train / rows meant for it - the
    same of test)^2, weighted by class size.  A class with fewer than two rows in train so far keeps its group in train.
    """
    _, group = np.unique(groups, return_inverse=True)
    several = labels.ndim == 2
    table_GC = np.zeros((group.max() + 1, labels.shape[1] if several else labels.max() + 1))
    np.add.at(table_GC, group if several else (group, labels), labels if several else 1)
    counts_C = table_GC.sum(axis=0)
    weight_C = counts_C / max(1, counts_C.sum())
    meant = np.maximum(np.stack([(1 - share) * counts_C, share * counts_C]), 1e-9)  # rows of each class: train, test
    placed = np.zeros_like(meant)
    shuffled = rng.permutation(len(table_GC))
    in_test = np.zeros(len(table_GC), dtype=bool)
    for g in shuffled[np.argsort(-table_GC.sum(axis=1)[shuffled], kind="stable")]:
        rows_C = table_GC[g]
        fill = placed / meant
        gap_C = fill[0] - fill[1]
        to_train = (weight_C * (gap_C + rows_C / meant[0]) ** 2).sum()
        to_test = (weight_C * (gap_C - rows_C / meant[1]) ** 2).sum()
        needed = bool((placed[0][rows_C > 0] < KEPT_IN_TRAIN).any())
        in_test[g] = to_test < to_train and not needed
        placed[int(in_test[g])] += rows_C
    return np.flatnonzero(in_test[group])
