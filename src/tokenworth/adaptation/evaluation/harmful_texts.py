"""Training texts that harm: those without which the read-out of a probe would err less on the test texts.

The ridge read-out of the probe's features, every text left out in closed form (`tokenworth.scores.influence`).  Axes: N
training texts, M test texts, C classes.
"""

from __future__ import annotations

import numpy as np
import torch

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.routes.training_texts import TrainingTexts
from tokenworth.adaptation.storage.adapt_result import Harmful, InfluenceOnTest, TextGroup
from tokenworth.base.aliases import Ints
from tokenworth.scores.influence import Influence

LISTED = 50
GROUPS = (10, 50)
"""So many of the most harmful texts are also left out together."""
_CHARACTERS = 500


def influence_on_test(job: Job, fitted: Fitted) -> InfluenceOnTest:
    """The most harmful training texts of a probe, and what leaving several out together does; empty for other routes.

    A text's harm is the mean squared error over one-hot labels of the test texts, less what it is without the text, as
    a share of the error.
    """
    predictor = fitted.predictor
    if not isinstance(predictor, ProbePredictor) or predictor.training is None or len(predictor.training.texts) < 2:
        return {}
    training, test = predictor.training, job.task.test
    influence = training.influence(job.n_classes)
    asked_MD, true_M = torch.from_numpy(predictor.features(test.texts)), torch.from_numpy(test.labels)
    decision_MC = influence.decision(asked_MD)
    error = _error(decision_MC, true_M)
    harm_N = influence.on_loss(asked_MD, true_M).numpy() / max(error, 1e-300)
    order_N = np.argsort(-harm_N, kind="stable")
    read_N = influence.leave_one_out().argmax(1).numpy()
    harmful = order_N[:LISTED][harm_N[order_N[:LISTED]] > 0]
    agreement = decision_MC.argmax(1).numpy() == predictor.scores(test.texts).argmax(1)
    return {
        "error": error,
        "agreement": float(agreement.mean()),
        "harmful": [_row(job, training, place, harm_N[place], read_N[place]) for place in harmful],
        "groups": [
            _group(influence, order_N[:size], harm_N, (asked_MD, true_M), error)
            for size in GROUPS
            if size <= len(order_N) // 2
        ],
    }


def _row(job: Job, training: TrainingTexts, place: int, harm: float, read: int) -> Harmful:
    names = job.task.label_names
    return {
        "row": int(training.rows_N[place]),
        "text": training.texts[place][:_CHARACTERS],
        "label": names[training.labels_N[place]],
        "read_as": names[read],
        "harm": float(harm),
    }


def _group(
    influence: Influence, group: Ints, harm_N: np.ndarray, asked: tuple[torch.Tensor, torch.Tensor], error: float
) -> TextGroup:
    asked_MD, true_M = asked
    left = _error(influence.decision_without(asked_MD, torch.from_numpy(group.copy())), true_M)
    together = (error - left) / max(error, 1e-300)
    return {"texts": len(group), "sum": float(harm_N[group].sum()), "together": float(together)}


def _error(decision_MC: torch.Tensor, true_M: torch.Tensor) -> float:
    """Mean squared error over one-hot labels."""
    one_hot_MC = torch.nn.functional.one_hot(true_M, decision_MC.shape[1])
    return float((decision_MC - one_hot_MC).square().sum(1).mean())
