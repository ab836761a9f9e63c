"""Route probe: ridge and logistic regression on the assessment's pooled features; no new forward pass where it ran.

Axes: N training texts, D numbers of a pooled text, C classes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import tokenworth.assessment.layer_scores as layers
import tokenworth.probes.ridge as ridge_room
from tokenworth.adaptation.job import Fitted, Job, with_prefix
from tokenworth.adaptation.predictor import origin
from tokenworth.adaptation.routes.heads import known_backbone
from tokenworth.assessment.layer_choice import choose_layer
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats
from tokenworth.encode import Tokens, encode, pool, tokenise
from tokenworth.features import Features, PassSettings, Store, default_store, gather_features, temporary_store
from tokenworth.probes import Linear, grouped_folds, logistic_probe
from tokenworth.probes.probability_metrics import fit_temperature
from tokenworth.scores import ridge

LOGISTIC_LAYERS = 3
MAX_LOGISTIC_CLASSES = 500
"""With more classes only the closed form is fitted: logistic regression would take hours."""
FOLDS = 10


@dataclass(frozen=True, eq=False, slots=True)
class ProbePredictor:
    """A linear read-out of one layer."""

    backbone: Backbone
    layer: int
    pooling: str
    linear: Linear
    max_length: int | None
    prefix: str
    origin: dict[str, Any]
    known: dict[str, np.ndarray]
    """Features of texts that are already there."""
    kind: str = "probe"

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C); only texts without features go through the model."""
        new = list(dict.fromkeys(text for text in texts if text not in self.known))
        features = {**self.known, **dict(zip(new, self._features(new), strict=True))} if new else self.known
        return self.linear.scores(np.stack([features[text] for text in texts]).astype(np.float64))

    def _features(self, texts: list[str]) -> np.ndarray:
        tokens = tokenise(self.backbone, with_prefix(texts, self.prefix), max_length=self.max_length)
        width = self.backbone.width * (1 + self.pooling.count("+"))
        features_ND = np.empty((len(texts), width), dtype=np.float32)

        def keep(_layer: int, states_BTD: torch.Tensor, mask_BT: torch.Tensor, rows: np.ndarray) -> None:
            features_ND[rows] = pool(states_BTD, mask_BT, self.pooling).cpu().numpy()

        encode(self.backbone, tokens, keep, layers=[self.layer])
        return features_ND

    def save(self, folder: Path) -> dict[str, Any]:
        """probe.safetensors; the backbone stays where it is."""
        save_file({"weights": self.linear.weights_DC, "intercept": self.linear.intercept_C},
                  folder / "probe.safetensors")  # fmt: skip
        return {"layer": self.layer, "pooling": self.pooling, "max_length": self.max_length, "prefix": self.prefix,
                "base": self.origin}  # fmt: skip


def load_probe(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> ProbePredictor:
    """The way back from `ProbePredictor.save`."""
    held = load_file(folder / "probe.safetensors")
    return ProbePredictor(
        known_backbone(facts["base"], loading),
        facts["layer"],
        facts["pooling"],
        Linear(held["weights"], held["intercept"]),
        facts["max_length"],
        facts["prefix"],
        facts["base"],
        {},
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Candidate:
    name: str
    layer: int
    cv_accuracy: float
    linear: Linear


def fit_probe(job: Job) -> Fitted:
    """Layer by cross-fitted ridge loss, then ridge against logistic on the best layers by cross-validated accuracy."""
    backbone, config = job.backbone(), job.config
    tokens = {
        part: tokenise(backbone, job.texts(split.texts), max_length=config.max_length)
        for part, split in (("train", job.task.train), ("test", job.task.test))
    }
    wanted = PassSettings(layers=tuple(range(backbone.n_layers + 1)), pooling=config.pooling)
    with _store(job) as store:
        features = gather_features(
            backbone, tokens, wanted, store, processes=job.devices.processes, progress=job.progress
        )
        best, frequency = _best(job, features, backbone)
        known = _known(job, features, best.layer)
    place = {**origin(backbone, job.loading.get("tokenizer")), "seed": job.seed}
    predictor = ProbePredictor(
        backbone, best.layer, config.pooling, best.linear, config.max_length, config.prefix, place, known
    )
    n = best.linear.weights_DC.size + best.linear.intercept_C.size
    return Fitted(
        predictor=predictor,
        backbone=backbone,
        parameters={"trainable": n, "total": n + backbone.n_parameters},
        facts={
            "probe": best.name,
            "layer": best.layer,
            "cv_accuracy": best.cv_accuracy,
            "layer_frequency": {str(layer): share for layer, share in frequency.items()},
            "pass_reused": bool(features.facts["reused"]),
        },
        cost=_cost(features, tokens),
        notes=() if job.n_classes <= MAX_LOGISTIC_CLASSES else ("Too many classes for logistic regression.",),
    )


def _cost(features: Features, tokens: dict[str, Tokens]) -> dict[str, float]:
    """Tokens of the pass; none are spent where it was there already."""
    spent = 0 if features.facts["reused"] else sum(part.n_tokens for part in tokens.values())
    return {"tokens": spent, "padded_tokens": 0 if not spent else features.facts["padded_tokens"]}


def _store(job: Job) -> AbstractContextManager[Store]:
    if job.cache is False:
        return temporary_store(job.devices.processes)
    return nullcontext(default_store(None if job.cache is True else job.cache))


def _known(job: Job, features: Features, layer: int) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray] = {}
    for part, split in (("train", job.task.train), ("test", job.task.test)):
        known |= dict(zip(split.texts, features.part(part, layer), strict=True))
    return known


def _best(job: Job, features: Features, backbone: Backbone) -> tuple[_Candidate, dict[int, float]]:
    train = job.train
    folds_N = grouped_folds(train.labels, min(FOLDS, len(train)), groups_N=train.groups, seed=job.seed)
    every = tuple(range(backbone.n_layers + 1))
    losses, accuracies = [], {}
    for layer in every:
        loss_N, accuracies[layer] = _ridge_loss(job, features, layer, folds_N)
        losses.append(loss_N)
    choice = choose_layer(np.stack(losses), folds_N, every)
    candidates = [_ridge(job, features, choice.best, folds_N, accuracies[choice.best])]
    if job.n_classes <= MAX_LOGISTIC_CLASSES:
        candidates += [_logistic(job, features, layer) for layer in choice.order[:LOGISTIC_LAYERS]]
    return max(candidates, key=lambda candidate: candidate.cv_accuracy), choice.frequency


def _labels(job: Job, folds_N: np.ndarray) -> layers.Labels:
    n = len(job.train_rows)
    none = torch.empty(0, n, dtype=torch.int64)
    return layers.Labels(
        torch.from_numpy(job.train.labels), job.task.test.labels, torch.from_numpy(folds_N), none, job.n_classes
    )


def _train(job: Job, features: Features, layer: int) -> torch.Tensor:
    return torch.from_numpy(features.part("train", layer)[job.train_rows])


def _ridge_loss(job: Job, features: Features, layer: int, folds_N: np.ndarray) -> tuple[np.ndarray, float]:
    """Cross-fitted loss of each training text, and the accuracy of the same predictions."""
    train_ND, labels = _train(job, features, layer), _labels(job, folds_N)
    moments = layers.layer_moments(train_ND, labels)
    probe = ridge_room.ridge_probe(
        train_ND, labels.train_N, labels.folds_N, train_ND[:0], groups=moments.groups, total=moments.total
    )
    return probe.loss_N.numpy(), float((probe.crossfit_N == labels.train_N).double().mean())


def _ridge(job: Job, features: Features, layer: int, folds_N: np.ndarray, accuracy: float) -> _Candidate:
    """The ridge read-out, scaled so that its softmax is a probability: by the temperature of held-out decisions."""
    train_ND, labels = _train(job, features, layer), _labels(job, folds_N)
    moments = layers.layer_moments(train_ND, labels)
    fitted = ridge(moments.total)
    decision_NC = torch.empty(len(train_ND), job.n_classes, dtype=torch.float64)
    for rows, decision in ridge_room.crossfit_decisions(
        train_ND, labels.folds_N, moments.groups, moments.total, fitted.penalty
    ):
        decision_NC[rows] = decision
    temperature = fit_temperature(job.train.labels, decision_NC.numpy())
    linear = Linear(fitted.weights_DC.numpy() / temperature, fitted.intercept_C.numpy() / temperature)
    return _Candidate("ridge", layer, accuracy, linear)


def _logistic(job: Job, features: Features, layer: int) -> _Candidate:
    train = job.train
    train_ND = features.part("train", layer)[job.train_rows]
    probe = logistic_probe(train_ND, train.labels, train_ND[:0], groups_N=train.groups, seed=job.seed)
    return _Candidate("logistic", layer, probe.cv_accuracy, _all_classes(probe.linear, job.n_classes))


def _all_classes(linear: Linear, n_classes: int) -> Linear:
    """With columns for classes above the last that stands in train."""
    missing = n_classes - len(linear.intercept_C)
    weights = np.pad(linear.weights_DC, ((0, 0), (0, missing)))
    return Linear(weights, np.pad(linear.intercept_C, (0, missing), constant_values=-1e4))
