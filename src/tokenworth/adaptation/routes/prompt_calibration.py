"""Which classes a prompt favours whatever the text says, to be subtracted from the log-probabilities.

Contextual: the mean probability of each class over texts without content.
Source: Zhao et al. (2021), Calibrate Before Use (arXiv:2102.09690).

By label shares: one number a class, such that over training texts the mean probability of each class is its share of
them.  Labels of single texts are not looked at, only how many there are of each class.
Sources: Zhou et al. (2024), Batch Calibration (arXiv:2309.17249), which takes all classes as equally frequent; Saerens
et al. (2002), Neural Computation 14(1), 21-41, for the shares of the classes.

Axes: N texts, C classes.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Floats
from tokenworth.probes.probability_metrics import softmax

EMPTY_TEXTS = ("N/A", "", "[MASK]")
"""Texts without content, as in the source."""
_SMALLEST = 1e-30
_ROUNDS = 1000
_NEAR = 1e-9


def log_probabilities(scores_NC: Floats) -> Floats:
    """Logarithms of the classes' probabilities (N, C); finite."""
    return np.asarray(np.log(np.maximum(softmax(scores_NC), _SMALLEST)))


def contextual_bias(scores_NC: Floats) -> list[float]:
    """Log of the mean probability of each class over the scores of texts without content."""
    mean_C = softmax(scores_NC).mean(0)
    return list(map(float, np.log(np.maximum(mean_C, _SMALLEST))))


def label_share_bias(scores_NC: Floats, shares_C: Floats) -> list[float]:
    """What to subtract from log-probabilities so that each class has its share on average; known up to a constant.

    Found by rounds of b += log(mean probability) - log(share), which is iterative proportional fitting of the table of
    probabilities; it converges.  Classes without a share are left as rare as the smallest number makes them.
    """
    log_NC, share_C = log_probabilities(scores_NC), np.maximum(shares_C, 1e-9)
    bias_C = np.zeros(log_NC.shape[1])
    for _ in range(_ROUNDS):
        mean_C = np.maximum(softmax(log_NC - bias_C).mean(0), _SMALLEST)
        step_C = np.log(mean_C) - np.log(share_C)
        bias_C += step_C
        if np.abs(step_C - step_C.mean()).max() < _NEAR:
            break
    return list(map(float, bias_C - bias_C.mean()))
