"""Route probe: ridge and logistic regression on the assessment's pooled features; no new forward pass where it ran.

Axes: N training texts, D numbers of a pooled text, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from tokenworth.adaptation.job import Fitted, Job, ReadTexts
from tokenworth.adaptation.predictor import known_backbone, origin, with_prefix
from tokenworth.adaptation.routes.label_set_readouts import logistic_readout, ridge_readout
from tokenworth.adaptation.routes.training_texts import TrainingTexts, load_training
from tokenworth.assessment.layer_choice import Candidate, choose_layer
from tokenworth.assessment.layer_scores import Labels, layer_probe, numbered, probe_moments
from tokenworth.assessment.probe_search import candidate_readings, losses_of, search
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Floats, Long
from tokenworth.encode import Reading, Tokens, encode, normalised, pool, tokenise
from tokenworth.errors import SettingError
from tokenworth.features import Features, PassSettings, gather_features, open_store
from tokenworth.probes import Linear, RidgeProbe, grouped_folds, logistic_probe
from tokenworth.probes.probability_metrics import fit_temperature
from tokenworth.probes.ridge import as_columns
from tokenworth.scores import ridge
from tokenworth.scores.ridge_folds import held_out_decisions

LOGISTIC_LAYERS = 3
MAX_LOGISTIC_CLASSES = 500
"""With more classes only the closed form is fitted: logistic regression would take hours."""
FOLDS = 10


@dataclass(frozen=True, eq=False, slots=True)
class ProbePredictor:
    """A linear read-out of one layer."""

    backbone: Backbone
    layer: int
    reading: Reading
    linear: Linear
    max_length: int | None
    prefix: str
    origin: dict[str, Any]
    known: dict[str, np.ndarray]
    """Features of texts that are already there."""
    training: TrainingTexts | None = None
    """What it has learnt from, where that is looked at or was kept."""
    keeps_training: bool = False
    """Whether `save` writes these down."""
    long: Long = "first"
    """What is read of longer texts than the model takes."""
    kind: str = "probe"

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C); only texts without features go through the model."""
        return self.linear.scores(self.features(texts).astype(np.float64))

    def features(self, texts: list[str]) -> np.ndarray:
        """Pooled texts (N, D), float32: those that are there already, and of the others by a pass."""
        new = list(dict.fromkeys(text for text in texts if text not in self.known))
        features = self.known | (dict(zip(new, self._encoded(new), strict=True)) if new else {})
        return np.stack([features[text] for text in texts])

    def knowing(self, texts: list[str]) -> ProbePredictor:
        """The same, with features of these texts at hand."""
        return replace(self, known=self.known | dict(zip(texts, self.features(texts), strict=True)))

    def _encoded(self, texts: list[str]) -> np.ndarray:
        tokens = self.tokens(texts)
        width = self.backbone.width * (1 + self.reading.pooling.count("+"))
        features_PD = np.empty((len(tokens.ids), width), dtype=np.float32)

        def keep(_layer: int, states_BTD: torch.Tensor, mask_BT: torch.Tensor, rows: np.ndarray) -> None:
            read_BTD = normalised(states_BTD) if self.reading.states == "normalised" else states_BTD
            features_PD[rows] = pool(read_BTD, mask_BT, self.reading.pooling).cpu().numpy()

        encode(self.backbone, tokens, keep, layers=[self.layer])
        return tokens.mean(features_PD)

    def tokens(self, texts: list[str]) -> Tokens:
        """Texts as the model gets them."""
        return tokenise(self.backbone, with_prefix(texts, self.prefix), max_length=self.max_length, long=self.long)

    def save(self, folder: Path) -> dict[str, Any]:
        """probe.safetensors, and where asked for the training texts; the backbone stays where it is."""
        arrays = {"weights": self.linear.weights_DC, "intercept": self.linear.intercept_C}
        save_file(arrays, folder / "probe.safetensors")
        facts = {name: getattr(self, name) for name in ("layer", "max_length", "prefix")}
        facts |= {"longest": self.backbone.max_length, **({} if self.long == "first" else {"long": self.long})}
        kept = self.training.save(folder) if self.training is not None and self.keeps_training else None
        return {**facts, **self.reading._asdict(), "base": self.origin, **({"training": kept} if kept else {})}


def load_probe(folder: Path, facts: dict[str, Any], loading: dict[str, Any]) -> ProbePredictor:
    """The way back from `ProbePredictor.save`."""
    arrays = load_file(folder / "probe.safetensors")
    linear, backbone = Linear(arrays["weights"], arrays["intercept"]), known_backbone(facts["base"], loading)
    cut = (facts["max_length"], facts["prefix"])
    reading = Reading(facts["pooling"], facts.get("states", "raw"))  # raw: saved before there was a choice
    training = load_training(folder, facts.get("training"))
    long = facts.get("long", "first")
    return ProbePredictor(backbone, facts["layer"], reading, linear, *cut, facts["base"], {}, training, long=long)


@dataclass(frozen=True, eq=False, slots=True)
class _Candidate:
    name: str
    place: Candidate
    cv_accuracy: float
    """Of several labels a text micro F1."""
    linear: Linear


def fit_probe(job: Job) -> Fitted:
    """Layer by cross-fitted ridge loss, then ridge against logistic on the best layers by cross-validated accuracy."""
    backbone, config = job.backbone(), job.config
    parts = {"train": job.task.train, "test": job.task.test}
    tokens = {part: job.tokens(backbone, split.texts) for part, split in parts.items()}
    readings = candidate_readings(config.pooling, config.states, causal=backbone.causal)
    wanted = PassSettings(layers=tuple(range(backbone.n_layers + 1)), readings=readings)
    with open_store(job.cache, job.devices.processes) as store:
        features = gather_features(
            backbone, tokens, wanted, store, processes=job.devices.processes, progress=job.progress
        )
        best, frequency = _best(job, features)
        known: dict[str, np.ndarray] = {}
        for part, split in parts.items():
            known |= dict(zip(split.texts, features.part(part, *best.place), strict=True))
        training = _training(job, features, best.place)
    n = best.linear.weights_DC.size + best.linear.intercept_C.size
    reused = bool(features.facts["reused"])  # then no tokens are spent
    return Fitted(
        predictor=_predictor(job, backbone, best, known, training),
        backbone=backbone,
        read=ReadTexts.of(tokens["train"]),
        parameters={"trainable": n, "total": n + backbone.n_parameters},
        facts={
            "probe": best.name,
            "layer": best.place.layer,
            **best.place.reading._asdict(),
            "cv_micro_f1" if job.task.several else "cv_accuracy": best.cv_accuracy,
            "layer_frequency": {str(layer): share for layer, share in frequency.items()},
            "pass_reused": reused,
        },
        cost={
            "tokens": 0 if reused else sum(part.n_tokens for part in tokens.values()),
            "padded_tokens": 0 if reused else features.facts["padded_tokens"],
        },
        notes=() if job.n_classes <= MAX_LOGISTIC_CLASSES else ("Too many classes for logistic regression.",),
    )


def _predictor(
    job: Job, backbone: Backbone, best: _Candidate, known: dict[str, np.ndarray], training: TrainingTexts | None
) -> ProbePredictor:
    config, place = job.config, origin(backbone, job.loading.get("tokenizer"), job.seed)
    cut, keeps, long = (config.max_length, config.prefix), config.keep_training, config.read_of_long
    return ProbePredictor(
        backbone, *best.place, best.linear, *cut, place, known, training, keeps_training=keeps, long=long
    )


def _best(job: Job, features: Features) -> tuple[_Candidate, dict[int, float]]:
    train = job.train
    folds_N = grouped_folds(train.labels, min(FOLDS, len(train)), groups_N=train.units(), seed=job.seed)
    no_shuffles = torch.empty(0, len(train), dtype=torch.int64)
    number_N, n_classes, sets_LC = numbered(train.labels, job.n_classes)
    train_N, test_M = torch.from_numpy(number_N), job.task.test.labels
    labels = Labels(train_N, test_M, torch.from_numpy(folds_N), no_shuffles, n_classes, sets_LC)

    def fit(place: Candidate) -> RidgeProbe:
        train_ND = _train(job, features, place)
        return layer_probe(train_ND, train_ND[:0], probe_moments(train_ND, labels), labels)

    probes = search(fit, features.settings.layers, features.settings.readings, width=features.width)
    choice = choose_layer(losses_of(probes), folds_N)
    if job.task.several:
        return _best_of_label_sets(job, features, choice.order, labels), choice.frequency
    accuracy = float((probes[choice.best].crossfit_N == train_N).double().mean())
    candidates = [_Candidate("ridge", choice.best, accuracy, _ridge(_train(job, features, choice.best), labels))]
    if job.n_classes <= MAX_LOGISTIC_CLASSES:
        candidates += [_logistic(job, features, place) for place in choice.order[:LOGISTIC_LAYERS]]
    return max(candidates, key=lambda candidate: candidate.cv_accuracy), choice.frequency


def _best_of_label_sets(job: Job, features: Features, order: Sequence[Candidate], labels: Labels) -> _Candidate:
    """The same by cross-fitted micro F1."""
    first_ND = _train(job, features, order[0])
    candidates = [_Candidate("ridge", order[0], *ridge_readout(first_ND, job.train.labels, labels))]
    for place in order[:LOGISTIC_LAYERS]:
        fitted = logistic_readout(job.train, _train(job, features, place).numpy(), job.seed)
        candidates.append(_Candidate("logistic", place, *fitted))
    return max(candidates, key=lambda candidate: candidate.cv_accuracy)


def _training(job: Job, features: Features, place: Candidate) -> TrainingTexts | None:
    """Where something will be said of them.

    Raises SettingError: they are to be kept, and have several labels each.
    """
    if job.task.several:
        if job.config.keep_training:
            raise SettingError(
                f"{job.task.name} has several labels a text, and what a training text does to one class is what "
                "keep_training is for; leave it out"
            )
        return None
    if not (job.config.mislabelled or job.config.keep_training):
        return None
    return TrainingTexts.of(job.train, job.train_rows, features.part("train", *place)[job.train_rows], job.n_classes)


def _train(job: Job, features: Features, place: Candidate) -> torch.Tensor:
    return torch.from_numpy(features.part("train", *place)[job.train_rows])


def _ridge(train_ND: torch.Tensor, labels: Labels) -> Linear:
    """The ridge read-out, scaled so that its softmax is a probability: by the temperature of held-out decisions."""
    moments = probe_moments(train_ND, labels)
    fitted, truth_NC = ridge(moments.total), as_columns(labels.train_N, moments.total)
    decision_NC = held_out_decisions(train_ND, truth_NC, labels.folds_N, moments.total, fitted, moments.groups)
    temperature = fit_temperature(labels.train_N.numpy(), decision_NC.numpy())
    return Linear(fitted.weights_DC.numpy() / temperature, fitted.intercept_C.numpy() / temperature)


def _logistic(job: Job, features: Features, place: Candidate) -> _Candidate:
    """With columns for classes above the last that stands in train."""
    train, train_ND = job.train, features.part("train", *place)[job.train_rows]
    probe = logistic_probe(train_ND, train.labels, train_ND[:0], groups_N=train.units(), seed=job.seed)
    missing = job.n_classes - len(probe.linear.intercept_C)
    weights_DC = np.pad(probe.linear.weights_DC, ((0, 0), (0, missing)))
    intercept_C = np.pad(probe.linear.intercept_C, (0, missing), constant_values=-1e4)
    return _Candidate("logistic", place, probe.cv_accuracy, Linear(weights_DC, intercept_C))
