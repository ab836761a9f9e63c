"""From which probability on a label is predicted: chosen on held-out texts.

A threshold of its own for every label takes that of the best F1 there; a label that few held-out texts have takes the
one that is best for all labels together, as its own would follow those few.

Source: Yang (2001), A Study on Thresholding Strategies for Text Categorization, SIGIR: SCut overfits rare categories.

Axes: N texts, C labels.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Floats, Ints
from tokenworth.probes.label_set_metrics import HALF

FEWEST = 50
"""Held-out texts that must have a label, and lack it, for a threshold of its own: with 10 and 25 thresholds by label
were behind the shared one (docs/results/several_labels.md)."""


def choose_thresholds(true_NC: Ints, probability_NC: Floats, *, fewest: int = FEWEST) -> Floats:
    """(C,) thresholds by F1 on held-out texts, each halfway between two of their probabilities; the shared one for
    labels that fewer than so many texts have, or lack.  A half where no text has any label.
    """
    shared = shared_threshold(true_NC, probability_NC)
    count_C = true_NC.sum(0)
    own_C = (count_C >= fewest) & (len(true_NC) - count_C >= fewest)
    chosen = [best_threshold(true_NC[:, c], probability_NC[:, c]) if own_C[c] else shared for c in range(len(count_C))]
    return np.array(chosen)


def shared_threshold(true_NC: Ints, probability_NC: Floats) -> float:
    """The threshold of the best micro F1, the same for every label."""
    return best_threshold(true_NC.ravel(), probability_NC.ravel())


def best_threshold(true_P: Ints, score_P: Floats) -> float:
    """The number between two neighbouring scores from which on predicting gives the best F1, the highest of equals.

    All numbers of predictions are looked at in one sort; scores that are equal are predicted together.
    """
    if not true_P.any():
        return HALF
    order = np.argsort(-score_P, kind="stable")
    score_P, hits_P = score_P[order], np.cumsum(true_P[order])
    last = np.append(score_P[1:] < score_P[:-1], True)  # of those that are equal
    f1_P = np.where(last, 2 * hits_P / (np.arange(1, len(score_P) + 1) + true_P.sum()), -1.0)
    best = int(f1_P.argmax())
    below = score_P[best + 1] if best + 1 < len(score_P) else min(0.0, 2 * score_P[best])
    return float((score_P[best] + below) / 2)
