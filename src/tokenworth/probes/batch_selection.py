"""Which texts of a pool to label next: by how unsure a read-out is of them, by how well they cover the pool, or both.

    margin     the least p(first class) - p(second class)                                     Scheffer et al. (2001)
    entropy    the largest -sum p log p
    coverage   k-centre greedy: the text farthest from all that are labelled or chosen        Sener and Savarese (2018)
    badge      k-means++ on (p - e_first) x z, what one text would move the read-out by       Ash et al. (2020)
    spread     k-centre greedy among the texts of least margin, `_SPREAD` times as many as wanted
    random     drawn without looking

Features are compared by the cosine about the pool's mean, as nearest neighbours are; z in `badge` too, so that long
states do not count for more.  Axes: N texts of the pool, L labelled texts, C classes, D width, K wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tokenworth.base.aliases import Floats, Ints

_SPREAD = 5


class Pool(NamedTuple):
    """What is known of the texts to choose from."""

    probability_NC: Floats
    """By the read-out so far."""
    features_ND: Floats | None = None
    """Pooled states; `coverage`, `badge` and `spread` need them."""
    labelled_LD: Floats | None = None
    """Features of texts that have labels already."""


def select(method: str, pool: Pool, n: int, seed: int = 0) -> Ints:
    """Rows (K,) of the pool in the order in which they were chosen, K = n or all there are.

    Args:
        method: a key of METHODS.
        pool: probabilities, and features where the method compares texts.
        n: how many are wanted.
        seed: of draws, and of the order of equals.

    Raises ValueError: the method compares texts and there are no features.
    """
    if method in COMPARING and pool.features_ND is None:
        raise ValueError(f"{method} needs features of the texts")
    return METHODS[method](pool, min(n, len(pool.probability_NC)), np.random.default_rng(seed))


def margins(probability_NC: Floats) -> Floats:
    """How much more probable the first class is than the second (N,), in [0, 1]."""
    if probability_NC.shape[1] < 2:
        return np.ones(len(probability_NC))
    two_N2 = np.partition(probability_NC, -2, axis=1)[:, -2:]
    return np.asarray(two_N2[:, 1] - two_N2[:, 0])


def entropies(probability_NC: Floats) -> Floats:
    """-sum p log p of each text (N,), in nats."""
    return np.asarray(-(probability_NC * np.log(np.maximum(probability_NC, 1e-300))).sum(1))


def directions(features_ND: Floats, about_D: Floats) -> Floats:
    """Features about a mean, scaled to length 1 (N, D); what lies at the mean stays there."""
    moved_ND = np.asarray(features_ND, dtype=np.float64) - about_D
    return np.asarray(moved_ND / np.maximum(np.linalg.norm(moved_ND, axis=1, keepdims=True), 1e-12))


def _margin(pool: Pool, n: int, rng: np.random.Generator) -> Ints:
    return _least(margins(pool.probability_NC), n, rng)


def _entropy(pool: Pool, n: int, rng: np.random.Generator) -> Ints:
    return _least(-entropies(pool.probability_NC), n, rng)


def _coverage(pool: Pool, n: int, _rng: np.random.Generator) -> Ints:
    return _farthest(*_compared(pool), n)


def _spread(pool: Pool, n: int, rng: np.random.Generator) -> Ints:
    unsure = _margin(pool, min(_SPREAD * n, len(pool.probability_NC)), rng)
    features_ND, labelled_LD = _compared(pool)
    return np.asarray(unsure[_farthest(features_ND[unsure], labelled_LD, n)])


def _random(pool: Pool, n: int, rng: np.random.Generator) -> Ints:
    return rng.permutation(len(pool.probability_NC))[:n]


def _badge(pool: Pool, n: int, rng: np.random.Generator) -> Ints:
    """The first has the largest gradient; the others are drawn in proportion to the square of their distance."""
    features_ND, _ = _compared(pool)
    residual_NC = pool.probability_NC.copy()
    residual_NC[np.arange(len(residual_NC)), residual_NC.argmax(1)] -= 1
    length_N = np.square(residual_NC).sum(1) * np.square(features_ND).sum(1)
    chosen = [int(length_N.argmax())]
    distance_N = np.full(len(length_N), np.inf)
    while len(chosen) < n:
        last = chosen[-1]
        product_N = (residual_NC @ residual_NC[last]) * (features_ND @ features_ND[last])
        distance_N = np.minimum(distance_N, np.maximum(length_N + length_N[last] - 2 * product_N, 0))
        distance_N[chosen] = 0
        total = distance_N.sum()
        left = np.setdiff1d(np.arange(len(length_N)), chosen)
        chosen.append(int(rng.choice(left) if total <= 0 else rng.choice(len(length_N), p=distance_N / total)))
    return np.array(chosen)


def _compared(pool: Pool) -> tuple[Floats, Floats]:
    """Directions of the pool (N, D) and of the labelled texts (L, D), about the pool's mean."""
    assert pool.features_ND is not None, "checked by select"
    about_D = np.asarray(pool.features_ND, dtype=np.float64).mean(0)
    labelled_LD = pool.features_ND[:0] if pool.labelled_LD is None else pool.labelled_LD
    return directions(pool.features_ND, about_D), directions(labelled_LD, about_D)


def _farthest(features_ND: Floats, labelled_LD: Floats, n: int) -> Ints:
    """k-centre greedy.  Without labelled texts the first is the one most like the others."""
    distance_N = np.full(len(features_ND), np.inf)
    for start in range(0, len(labelled_LD), 1024):
        near_N = (features_ND @ labelled_LD[start : start + 1024].T).max(1)
        distance_N = np.minimum(distance_N, 1 - near_N)
    central = int((features_ND @ features_ND.mean(0)).argmax())
    chosen: list[int] = []
    while len(chosen) < n:
        chosen.append(int(distance_N.argmax()) if np.isfinite(distance_N).all() else central)
        distance_N = np.minimum(distance_N, 1 - features_ND @ features_ND[chosen[-1]])
        distance_N[chosen] = -1.0  # below that of any other, equal ones among them
    return np.array(chosen)


def _least(values_N: Floats, n: int, rng: np.random.Generator) -> Ints:
    """Places of the n least values, the least first, equals in random order."""
    return np.lexsort((rng.random(len(values_N)), values_N))[:n]


METHODS: dict[str, Callable[[Pool, int, np.random.Generator], Ints]] = {
    "margin": _margin,
    "entropy": _entropy,
    "coverage": _coverage,
    "badge": _badge,
    "spread": _spread,
    "random": _random,
}
COMPARING = frozenset({"coverage", "badge", "spread"})
"""Methods that compare texts by their features."""
