"""Answering only where the error stays low, and sets of classes that hold the true one: bounds from held-out texts.

**Threshold.**  Of n held-out texts whose confidence is above a threshold, k were wrong; then the error of texts to come
above it is at most

    b(k, n) = the p with P(Binomial(n, p) <= k) = delta            Clopper and Pearson (1934), one-sided

with probability 1 - delta.  A threshold is tried for each of SHARES, at which about that share of the texts is
answered: it is the confidence of one held-out text, which is not counted, so that those above it are a sample of all
texts above it.  Each has delta = (1 - certainty) / len(SHARES), so all bounds hold together with the certainty
(Bonferroni), whichever is taken.  As Geifman and El-Yaniv (2017), with shares instead of a search.

**Sets.**  The k-th largest probability that a held-out text gave its true class, k = ceil((n + 1) share): the classes
at least as probable hold the true class of a text to come with probability `share` or more (Vovk et al. 2005; Sadinle,
Lei and Wasserman 2019).  The most probable class is always in the set, which makes it no less safe.

Both hold for texts drawn as the held-out ones were, and for nothing else.  Axes: N held-out texts, M texts, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats

SHARES = tuple(share / 10 for share in range(10, 0, -1))
"""Of the texts that may be answered, the largest first."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which confidence on texts are answered."""

    confidence: float
    """A text is answered where its confidence is above this."""
    answered: int
    """Held-out texts above it."""
    errors: int
    """Of these, those that were wrong."""
    bound: float
    """Upper bound of the error among texts that are answered."""
    held_out: int
    """N."""


def error_bound(errors: int, answered: int, delta: float) -> float:
    """One-sided Clopper-Pearson bound of an error rate; 1 where nothing was answered."""
    from scipy.stats import beta

    return float(beta.ppf(1 - delta, errors + 1, answered - errors)) if errors < answered else 1.0


def certified_threshold(
    confidence_N: Floats, correct_N: NDArray[np.bool_], risk: float, certainty: float
) -> Threshold | None:
    """The threshold that answers most texts with an error of at most ``risk``, by bounds that hold with ``certainty``.

    None where no share of the texts can be certified.
    """
    for threshold in thresholds(confidence_N, correct_N, certainty):
        if threshold.bound <= risk:
            return threshold
    return None


def thresholds(confidence_N: Floats, correct_N: NDArray[np.bool_], certainty: float) -> list[Threshold]:
    """One for each of SHARES, all bounds together with the certainty."""
    falling_N, delta = np.sort(confidence_N)[::-1], (1 - certainty) / len(SHARES)
    found = []
    for share in SHARES:
        place = math.floor(share * len(falling_N))
        least = -np.inf if place == len(falling_N) else falling_N[place]
        above_N = confidence_N > least
        answered, errors = int(above_N.sum()), int((above_N & ~correct_N).sum())
        bound = error_bound(errors, answered, delta)
        found.append(Threshold(float(least), answered, errors, bound, len(falling_N)))
    return found


def least_texts(risk: float, certainty: float) -> int:
    """Held-out texts without any error that it takes to certify a risk for all texts."""
    return math.ceil(math.log((1 - certainty) / len(SHARES)) / math.log1p(-risk))


def set_threshold(probability_N: Floats, share: float) -> float | None:
    """The least probability of a class in a set, from those that held-out texts gave their true class.

    None where N texts are too few: it takes share / (1 - share) of them.
    """
    rank = math.ceil((len(probability_N) + 1) * share - 1e-9)
    return None if rank > len(probability_N) else float(np.sort(probability_N)[::-1][rank - 1])


def label_sets(probability_MC: Floats, least: float) -> NDArray[np.bool_]:
    """(M, C): the classes of each text that are in its set."""
    inside_MC = probability_MC >= least
    inside_MC[np.arange(len(probability_MC)), probability_MC.argmax(1)] = True
    return np.asarray(inside_MC)


def risk_coverage(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Shares of the texts that are answered, the surest first, and the error among them; equal confidences together."""
    order_N = np.argsort(-confidence_N, kind="stable")
    wrong_N = np.cumsum(~correct_N[order_N])
    last_N = np.flatnonzero(np.append(np.diff(confidence_N[order_N]) != 0, True))
    return (last_N + 1) / len(order_N), wrong_N[last_N] / (last_N + 1)
