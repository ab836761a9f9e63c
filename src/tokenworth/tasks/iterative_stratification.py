"""Dividing texts of several labels so that every label, and every two that stand together, is on both sides in
proportion: iterative stratification.

The rarest label that is left is dealt out first, each of its texts to the side that still wants most of it.  Pairs of
labels count as labels of their own, and as a pair is never more frequent than its labels it is dealt out before them.

Sources: Sechidis, Tsoumakas and Vlahavas (2011), On the Stratification of Multi-label Data, ECML PKDD; the pairs:
Szymanski and Kajdanowicz (2017), A Network Perspective on Stratification of Multi-label Data, PMLR 74.

Axes: N texts, C labels, K labels and pairs of them, S = 2 sides: 0 stays, 1 is drawn.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np

_WIDE = 40
"""Of a text with more labels pairs are not looked at: they would be thousands."""


def draw(
    labels_NC: np.ndarray, total: int, low_C: np.ndarray, high_C: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Rows of about `total` texts in rising order, every label among them in proportion within its bounds.

    Args:
        labels_NC: (N, C) 0 or 1.
        total: texts wanted.
        low_C: (C,) fewest texts of each label to draw; kept where the labels that stand with it allow both bounds.
        high_C: (C,) most texts of each label to draw; always kept.
        rng: what breaks ties.
    """
    share = total / max(1, len(labels_NC))
    columns_N, counts_K = _columns(labels_NC)
    wanted_SK = np.stack([(1 - share) * counts_K, share * counts_K])
    n_labels = labels_NC.shape[1]
    wanted_SK[1, :n_labels] = np.clip(wanted_SK[1, :n_labels], low_C, high_C)
    wanted_SK[0, :n_labels] = counts_K[:n_labels] - wanted_SK[1, :n_labels]
    wanted_S = np.array([len(labels_NC) - total, total], dtype=float)
    drawn_N = _deal(columns_N, counts_K, wanted_SK, wanted_S, rng)
    _keep_bounds(labels_NC.astype(bool), drawn_N, low_C, high_C, rng)
    return np.flatnonzero(drawn_N)


def _columns(labels_NC: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each text its labels and pairs, numbered, the labels first; and how many texts have each (K,)."""
    held = [np.flatnonzero(row_C) for row_C in labels_NC]
    pairs_N = [list(combinations(row.tolist(), 2)) if len(row) <= _WIDE else [] for row in held]
    frequency = Counter(pair for pairs in pairs_N for pair in pairs)
    n_labels = labels_NC.shape[1]
    several = [pair for pair, count in sorted(frequency.items()) if count > 1]
    place = {pair: n_labels + number for number, pair in enumerate(several)}
    columns_N = [
        np.array([*row, *(place[pair] for pair in pairs if pair in place)], dtype=np.int64)
        for row, pairs in zip(held, pairs_N, strict=True)
    ]
    counts = np.bincount(np.concatenate([*columns_N, np.zeros(0, np.int64)]), minlength=n_labels + len(place))
    return columns_N, counts


def _deal(
    columns_N: list[np.ndarray],
    counts_K: np.ndarray,
    wanted_SK: np.ndarray,
    wanted_S: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Which texts are drawn (N,) bool; `wanted` is counted down as texts are dealt out."""
    order = rng.permutation(len(columns_N))
    rows_K: list[list[int]] = [[] for _ in counts_K]
    for row in order:
        for column in columns_N[row]:
            rows_K[column].append(int(row))
    left_K, dealt_N, drawn_N = counts_K.astype(float), np.zeros(len(columns_N), bool), np.zeros(len(columns_N), bool)

    def deal(row: int, wish_S: np.ndarray) -> None:
        """To the side that wants most of it, of equal ones to the one that wants most texts, then by the order."""
        side = int((wish_S[1], wanted_S[1]) > (wish_S[0], wanted_S[0]))
        drawn_N[row], dealt_N[row] = bool(side), True
        wanted_SK[side, columns_N[row]] -= 1
        wanted_S[side] -= 1
        left_K[columns_N[row]] -= 1

    while (left_K > 0).any():
        rarest = int(np.where(left_K > 0, left_K, np.inf).argmin())
        for row in rows_K[rarest]:
            if not dealt_N[row]:
                deal(row, wanted_SK[:, rarest])
    for row in order[~dealt_N[order]]:  # texts without a label
        deal(int(row), wanted_S)
    return drawn_N


def _keep_bounds(
    labels_NC: np.ndarray, drawn_N: np.ndarray, low_C: np.ndarray, high_C: np.ndarray, rng: np.random.Generator
) -> None:
    """Texts change sides, in place, until no label is drawn too often and, as far as that allows, none too rarely."""
    for label in np.argsort(labels_NC.sum(0), kind="stable"):
        has_N = labels_NC[:, label]
        while (drawn_N & has_N).sum() > high_C[label]:
            drawn_N[rng.choice(np.flatnonzero(drawn_N & has_N))] = False
    for label in np.argsort(labels_NC.sum(0), kind="stable"):
        has_N = labels_NC[:, label]
        while (drawn_N & has_N).sum() < low_C[label]:
            full_C = labels_NC[drawn_N].sum(0) >= high_C
            free = np.flatnonzero(~drawn_N & has_N & ~labels_NC[:, full_C].any(1))
            if not len(free):
                break
            drawn_N[rng.choice(free)] = True
