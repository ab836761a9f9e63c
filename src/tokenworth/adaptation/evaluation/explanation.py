"""Why a probe predicts what it does: the training texts that speak most for or against it, and those most like it.

Axes: N training texts, M texts asked about, C classes, K named of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from typing_extensions import NotRequired, TypedDict

from tokenworth.adaptation.routes.probe_route import ProbePredictor
from tokenworth.adaptation.routes.training_texts import TrainingTexts
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.errors import AdaptError
from tokenworth.probes import nearest_labels

_MOST_PAIRS, _DIGITS = 2**22, 6
"""Of a text and a training text at a time; decimals of what is told."""


class NamedText(TypedDict):
    """A training text that is named for a prediction."""

    row: int
    """Where it stands among the training texts of the task, from 0."""
    label: str
    influence: NotRequired[float]
    """How much lower the score of the predicted class is without the text; a class's score is about 1 for its texts and
    0 for others."""
    similarity: float
    """Cosine of the pooled states about the training mean."""
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one prediction."""

    why: list[NamedText]
    """The K training texts without which the score of the predicted class would change most, the largest change first:
    above 0 those that speak for the class."""
    nearest: list[NamedText]
    """The K training texts most like the text, the nearest first."""


@dataclass(frozen=True, slots=True)
class Explanations:
    """Of the predictions of a probe."""

    of: list[Explanation]
    agreement: float
    """Share of the texts of which the ridge read-out, whose influences these are, says what the probe says."""


def explainable(classifier: Classifier, place: str) -> ProbePredictor:
    """The probe of a classifier, with what it has learnt from.

    Raises AdaptError: it is no probe, or the training texts were not kept; ``place`` names it in the sentence.
    """
    predictor = classifier.predictor
    if not isinstance(predictor, ProbePredictor):
        raise AdaptError(
            f"{place} holds a classifier of kind {predictor.kind}, and only a probe's predictions can be traced to "
            "training texts; run tokenworth adapt --route probe --keep-training"
        )
    if predictor.training is None:
        raise AdaptError(
            f"{place} was made without keeping its training texts; run tokenworth adapt again with --keep-training and "
            "another --out (its forward pass is reused)"
        )
    return predictor


def with_features(classifier: Classifier, texts: list[str], place: str) -> Classifier:
    """The same classifier, its probe having read these texts.  Raises AdaptError: as `explainable`."""
    return replace(classifier, predictor=explainable(classifier, place).knowing(texts))


def explain(classifier: Classifier, texts: list[str], k: int, place: str = "the folder") -> Explanations:
    """For each text the k training texts of largest influence on its prediction, and its k nearest ones.

    Influences are those of the ridge read-out of the probe's features at the penalty it was fitted with, exact without
    refitting (`tokenworth.scores.influence`); the layer, the pooling and the penalty are not chosen again.

    Raises AdaptError: as `explainable`.
    """
    predictor = explainable(classifier, place)
    training = predictor.training
    assert training is not None, "checked by explainable"
    influence, names = training.influence(len(classifier.label_names)), classifier.label_names
    explanations, agreed = list[Explanation](), 0
    step = max(1, _MOST_PAIRS // influence.n_texts)
    for start in range(0, len(texts), step):
        features_MD = predictor.features(texts[start : start + step])
        asked_MD, predicted_M = torch.from_numpy(features_MD), _predicted(predictor, features_MD)
        agreed += int((influence.decision(asked_MD).argmax(1) == predicted_M).sum())
        effect_MN = influence.on_scores(asked_MD, predicted_M).numpy()
        alike_MN = _similarities(training, asked_MD)
        explanations += [
            Explanation(
                _named(training, names, np.argsort(-np.abs(effect_N), kind="stable")[:k], alike_N, effect_N),
                _named(training, names, np.argsort(-alike_N, kind="stable")[:k], alike_N),
            )
            for effect_N, alike_N in zip(effect_MN, alike_MN, strict=True)
        ]
    return Explanations(explanations, agreed / max(len(texts), 1))


def _predicted(predictor: ProbePredictor, features_MD: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(predictor.linear.scores(features_MD.astype(np.float64)).argmax(1))


def _similarities(training: TrainingTexts, asked_MD: torch.Tensor) -> np.ndarray:
    """(M, N), of every training text."""
    train_ND = torch.from_numpy(training.features_ND)
    place_MN, similarity_MN = nearest_labels(train_ND, asked_MD, k=len(train_ND))
    return torch.empty_like(similarity_MN).scatter_(1, place_MN, similarity_MN).numpy()


def _named(
    training: TrainingTexts, names: tuple[str, ...], places: Any, alike_N: np.ndarray, effect_N: Any = None
) -> list[NamedText]:
    rows = list[NamedText]()
    for place in places:
        effect = {} if effect_N is None else {"influence": round(float(effect_N[place]), _DIGITS)}
        rows.append(
            {
                "row": int(training.rows_N[place]),
                "label": names[training.labels_N[place]],
                **effect,  # type: ignore[typeddict-item]
                "similarity": round(float(alike_N[place]), _DIGITS),
                "text": training.texts[place],
            }
        )
    return rows
