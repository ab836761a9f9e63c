"""Labelled training texts that are most like a text, as examples in its prompt.

Alike by the cosine of pooled states about the training mean, the nearest last, next to the text.  Layer and pooling are
those whose neighbours say most often what a training text's own label says (leave-one-out vote), which takes no pass
beyond the one of an assessment.  A training text that reads the same as the text is never its example.

Sources: Liu et al. (2022), What Makes Good In-Context Examples for GPT-3? (arXiv:2101.06804) for examples by similarity
and their order.

Axes: N training texts, M texts asked about, K neighbours, D width.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from tokenworth.adaptation.job import Job
from tokenworth.adaptation.predictor import with_prefix
from tokenworth.backbones import Backbone
from tokenworth.base.aliases import Ints
from tokenworth.encode import Reading, encode, pool, tokenise
from tokenworth.features import Features, PassSettings, gather_features, open_store
from tokenworth.probes.neighbours import nearest_labels, vote
from tokenworth.tasks import Split
from tokenworth.tasks.split import sample

_POOLINGS = ("mean", "last")
_READINGS = (Reading(), *(Reading(pooling, "raw") for pooling in _POOLINGS))
"""The first is what an assessment of the same texts asks for: its pass serves here too."""
_VOTES = 1000
"""Training texts whose neighbours vote on layer and pooling."""
_ARRAYS = "neighbours.safetensors"


@dataclass(frozen=True, eq=False, slots=True)
class NearestExamples:
    """Training texts by their features in one layer."""

    backbone: Backbone
    layer: int
    pooling: str
    shots: int
    texts: list[str]
    labels_N: Ints
    features_ND: np.ndarray
    max_length: int | None
    prefix: str
    known: dict[str, np.ndarray] = field(default_factory=dict)
    """Features of texts that are already there."""

    def rows(self, texts: list[str]) -> list[Ints]:
        """Of each text, the training texts that are its examples, from the least to the most alike."""
        train_ND, asked_MD = torch.from_numpy(self.features_ND), torch.from_numpy(self._features(texts))
        same = {text: place for place, text in enumerate(dict.fromkeys(self.texts))}
        kind_N = np.array([same[text] for text in self.texts])
        kind_M = np.array([same.get(text, -1) for text in texts])
        nearest_MK, _ = nearest_others(train_ND, asked_MD, kind_N, kind_M, self.shots)
        return list(nearest_MK.numpy()[:, ::-1])

    def _features(self, texts: list[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        features = self.known | (dict(zip(new, self._encoded(new), strict=True)) if new else {})
        return np.stack([features[text] for text in texts])

    def _encoded(self, texts: list[str]) -> np.ndarray:
        tokens = tokenise(self.backbone, with_prefix(texts, self.prefix), max_length=self.max_length)
        features_MD = np.empty((len(texts), self.backbone.width), dtype=np.float32)

        def keep(_layer: int, states_BTD: torch.Tensor, mask_BT: torch.Tensor, rows: np.ndarray) -> None:
            features_MD[rows] = pool(states_BTD, mask_BT, self.pooling).cpu().numpy()

        encode(self.backbone, tokens, keep, layers=[self.layer])
        return features_MD

    def save(self, folder: Path) -> dict[str, Any]:
        """neighbours.safetensors: features and labels; texts stand among the facts."""
        save_file({"features": self.features_ND, "labels": self.labels_N}, folder / _ARRAYS)
        return {name: getattr(self, name) for name in ("layer", "pooling", "shots", "texts")}


def load_nearest(
    folder: Path, facts: dict[str, Any], backbone: Backbone, max_length: int | None, prefix: str
) -> NearestExamples:
    """The way back from `NearestExamples.save`."""
    arrays = load_file(folder / _ARRAYS)
    asked = (facts["layer"], facts["pooling"], facts["shots"], facts["texts"])
    return NearestExamples(backbone, *asked, arrays["labels"], arrays["features"], max_length, prefix)


def nearest_others(
    train_ND: torch.Tensor, asked_MD: torch.Tensor, kind_N: Ints, kind_M: Ints, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (M, K) and similarities (M, K) of the nearest training texts of another kind than the text's own.

    Kinds are whole numbers; texts that read the same, or belong together, are of one kind.  K is k, or less
    where a text has fewer others.
    """
    sizes = Counter(kind_N.tolist())
    most = max((sizes[kind] for kind in set(kind_M.tolist())), default=0)
    k = min(k, len(kind_N) - most)
    nearest_MK, similarity_MK = nearest_labels(train_ND, asked_MD, k=k + most)
    own_MK = torch.from_numpy(kind_N)[nearest_MK] == torch.from_numpy(kind_M)[:, None]
    first_MK = own_MK.long().argsort(dim=1, stable=True)[:, :k]  # others first, the nearest of them first
    return nearest_MK.gather(1, first_MK), similarity_MK.gather(1, first_MK)


def fit_nearest(job: Job, backbone: Backbone) -> tuple[NearestExamples, dict[str, Any]]:
    """Training texts with their features in the layer and pooling whose neighbours vote best, and how well they do."""
    learnt = np.union1d(job.train_rows, job.validation_rows)  # as in the assessment of the same texts
    parts = {"train": job.task.train.take(learnt), "test": job.task.test}
    tokens = {part: job.tokens(backbone, split.texts) for part, split in parts.items()}
    wanted = PassSettings(layers=tuple(range(backbone.n_layers + 1)), readings=_READINGS)
    train, rows = job.train, np.searchsorted(learnt, job.train_rows)
    with open_store(job.cache, job.devices.processes) as store:
        features = gather_features(
            backbone, tokens, wanted, store, processes=job.devices.processes, progress=job.progress
        )
        layer, pooling, share = _choose(job, features, rows)
        known: dict[str, np.ndarray] = {}
        for part, split in parts.items():
            known |= dict(zip(split.texts, _pooled(features, part, layer, pooling), strict=True))
    train_ND = np.stack([known[text] for text in train.texts])
    cut = (job.config.max_length, job.config.prefix)
    examples = NearestExamples(
        backbone,
        layer,
        pooling,
        min(job.config.shots, len(train) - 1),
        train.texts,
        train.labels,
        train_ND,
        *cut,
        known,
    )
    facts = {"layer": layer, "pooling": pooling, "vote_accuracy": share, "pass_reused": features.facts["reused"]}
    return examples, facts


def _pooled(features: Features, part: str, layer: int, pooling: str) -> np.ndarray:
    return features.part(part, layer, Reading(pooling, "raw"))


def _choose(job: Job, features: Features, rows: Ints) -> tuple[int, str, float]:
    """Layer, pooling and share of training texts whose neighbours, none of their own group, vote for their label."""
    train = job.train
    kind_N, labels_N, asked = _kinds(train), torch.from_numpy(train.labels), sample(train.labels, _VOTES, job.seed)
    best = (-1.0, 0, "")
    for layer in features.settings.layers:
        for pooling in _POOLINGS:
            train_ND = torch.from_numpy(_pooled(features, "train", layer, pooling)[rows])
            nearest_MK, similarity_MK = nearest_others(
                train_ND, train_ND[asked], kind_N, kind_N[asked], job.config.shots
            )
            voted_M = vote(labels_N, nearest_MK, similarity_MK, job.n_classes)
            share = float((voted_M == labels_N[asked]).double().mean())
            best = max(best, (share, -layer, pooling))  # of equals, the earlier layer
    share, layer, pooling = best
    return -layer, pooling, share


def _kinds(train: Split) -> Ints:
    """Texts that read the same, or are of one group, have one number."""
    units_N = train.units()
    return np.arange(len(train)) if units_N is None else units_N
