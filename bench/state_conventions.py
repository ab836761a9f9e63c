"""Which states the scores should read, and which pooling a probe: massive activations in real language models.

    python bench/state_conventions.py --models FOLDER [FOLDER ...] --data TASKS --work FOLDER

Passes up to 500 training and 400 test texts of each task, cut at 64 tokens, once through each model and keeps, for
every third layer (second, of models with fewer than 20), texts pooled in several ways and the closed forms under five
conventions of states; it resumes.  state_tables.py fits the probes and makes the tables.

Conventions: raw (as published); rest (without each text's first token); std (coordinates standardised by the first
batch); rms (each state divided by its root mean square: what the next block's norm makes of it); rms_std (both).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import Backbone, load_backbone
from tokenworth.encode import encode, normalised, pool, tokenise
from tokenworth.probes import grouped_folds
from tokenworth.scores import ContextMoments, PooledMoments
from tokenworth.scores.context_batch import Places
from tokenworth.scores.layer import score_layer
from tokenworth.tasks import Task, load_task

TASKS = (
    "rotten_tomatoes", "emotion", "sst2", "sms_spam", "clickbait", "snli", "wiki_toxic", "bias_in_bios", "dbpedia",
    "climate_sentiment", "imdb", "banking77", "bias_identification", "intent_classification",
    "medical_question_pairs", "commonsense_qa", "yelp_review_full",
)  # fmt: skip
CONVENTIONS = ("raw", "rest", "std", "rms", "rms_std")
POOLED = {"raw": "mean", "rest": "rest", "std": "mean", "rms": "rms", "rms_std": "rms"}
"""The pooled texts that go with a convention."""
TRAIN, TEST, LENGTH = 500, 400, 64


class Collector:
    """What one pass keeps of each layer."""

    def __init__(self, layers: list[int], n_texts: int, width: int) -> None:
        self.places = {layer: place for place, layer in enumerate(layers)}
        shape = (len(layers), n_texts, width)
        self.pooled = {kind: np.zeros(shape, dtype=np.float32) for kind in ("mean", "rest", "rms", "last", "first")}
        self.moments = [{name: ContextMoments(width, target_moment=False) for name in CONVENTIONS} for _ in layers]
        self.scales: dict[tuple[int, str], tuple[Tensor, Tensor]] = {}
        self.log_norms = np.zeros((len(layers), 2))  # sums over first tokens, and over others
        self.n_states = np.zeros(2)

    def __call__(self, layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
        """Add a batch's states of a layer."""
        place, states = self.places[layer], states.float()
        rest, rest_mask = _without_first(states, mask)
        divided = normalised(states)
        for kind, values, tokens, how in (
            ("mean", states, mask, "mean"), ("rest", rest, rest_mask, "mean"), ("rms", divided, mask, "mean"),
            ("last", states, mask, "last"), ("first", states, mask, "cls"),
        ):  # fmt: skip
            self.pooled[kind][place, rows] = pool(values, tokens, how).numpy()
        whole, part = Places.of(mask), Places.of(rest_mask)
        standardised = {
            name: self._standardised(place, name, values, mask)
            for name, values in (("std", states), ("rms_std", divided))
        }
        for name, values, places in (
            ("raw", states, whole), ("rest", rest, part), ("rms", divided, whole),
            *((name, values, whole) for name, values in standardised.items()),
        ):  # fmt: skip
            self.moments[place][name] = self.moments[place][name].update(values, places)
        norm = states.norm(dim=-1).clamp(min=1e-9).log()
        self.log_norms[place] += [float(norm[:, 0].sum()), float(norm[:, 1:][mask[:, 1:]].sum())]
        if place == 0:
            self.n_states += [len(states), int(mask[:, 1:].sum())]

    def _standardised(self, place: int, name: str, values: Tensor, mask: Tensor) -> Tensor:
        if (place, name) not in self.scales:
            self.scales[place, name] = values[mask].mean(0), values[mask].std(0).clamp(min=1e-6)
        mean_D, spread_D = self.scales[place, name]
        return (values - mean_D) / spread_D

    def scores(self, place: int, labels: np.ndarray, n_classes: int) -> dict[str, dict[str, float]]:
        """The closed forms of a layer under each convention."""
        folds = grouped_folds(labels, 3, seed=0)
        scores = {}
        for name in CONVENTIONS:
            features = torch.from_numpy(self.pooled[POOLED[name]][place, : len(labels)]).double()
            if (place, name) in self.scales:
                mean_D, spread_D = self.scales[place, name]
                features = (features - mean_D) / spread_D
            rows = [features[folds == fold] for fold in range(3)]
            groups = [
                PooledMoments(features.shape[1], n_classes, shift_D=features.mean(0)).update(
                    rows[fold], torch.from_numpy(labels[folds == fold])
                )
                for fold in range(3)
            ]
            values = score_layer(self.moments[place][name], groups, rows=rows, spectrum=False).values
            scores[name] = {score: value.value for score, value in values.items()}
        return scores


def _without_first(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """States and mask without first tokens; of a text of one token that token stays."""
    rest, rest_mask = states[:, 1:], mask[:, 1:].clone()
    alone = ~rest_mask.any(1)
    if alone.any():
        rest = rest.clone()
        rest[alone, 0], rest_mask[alone, 0] = states[alone, 0], True
    return rest, rest_mask


def collect(backbone: Backbone, task: Task, place: Path) -> dict[str, Any]:
    """One model on one task; returns what is kept beside the arrays."""
    start = time.perf_counter()
    train, test = task.sample(TRAIN, seed=0).train, task.sample(TEST, seed=0).test
    tokens = tokenise(backbone, [*train.texts, *test.texts], max_length=LENGTH)
    layers = list(range(0, backbone.n_layers + 1, 3 if backbone.n_layers > 20 else 2))
    collector = Collector(layers, len(tokens.ids), backbone.width)
    encode(backbone, tokens, collector, layers=layers)
    with torch.inference_mode():
        scores = [collector.scores(i, train.labels, task.n_classes) for i in range(len(layers))]
    for kind, values in collector.pooled.items():
        np.save(place / f"{kind}.npy", values)
    first, others = (collector.log_norms / collector.n_states).T
    return {
        "task": task.name, "n_train": len(train.texts), "n_classes": task.n_classes, "width": backbone.width,
        "labels": [*train.labels.tolist(), *test.labels.tolist()], "layers": layers, "tokens": int(tokens.n_tokens),
        "dtype": str(backbone.dtype), "sink": np.exp(first - others).tolist(), "scores": scores,
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def main() -> None:
    """All models on all tasks; what is there is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    for task in TASKS:
        for model in arguments.models:
            place = arguments.work / f"{Path(model).name}--{task}"
            if (place / "facts.json").exists():
                continue
            place.mkdir(parents=True, exist_ok=True)
            facts = collect(load_backbone(model, seed=0), load_task(task, data=arguments.data, seed=0), place)
            (place / "facts.json").write_text(json.dumps(facts))
            print(f"{place.name}: {facts['seconds']:.0f} s, {facts['tokens']} tokens", flush=True)


if __name__ == "__main__":
    main()
