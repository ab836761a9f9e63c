"""Which states the scores should read: massive activations, pooling and the choice among them, on real language models.

    python bench/state_conventions.py collect --models FOLDER [FOLDER ...] --data TASKS --work FOLDER
    python bench/state_conventions.py compare --work FOLDER [--out docs/results]

`collect` passes up to 600 training and 400 test texts of each task once through each model and keeps, for every layer,
pooled texts of several kinds and the closed forms under five conventions of states; it resumes.  `compare` fits probes
and writes the tables.

Conventions: raw (as published); rest (without each text's first token); rms (each state divided by its root mean
square: what the next block's norm makes of it); rms_rest (both); std (coordinates standardised by the first batch).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tokenworth.backbones import load_backbone
from tokenworth.encode import encode, pool, tokenise
from tokenworth.probes import grouped_folds
from tokenworth.scores import ContextMoments, PooledMoments
from tokenworth.scores.context_batch import Places
from tokenworth.scores.layer import score_layer
from tokenworth.tasks import load_task

TASKS = (
    "rotten_tomatoes", "emotion", "sst2", "sms_spam", "clickbait", "snli", "wiki_toxic", "bias_in_bios", "dbpedia",
    "climate_sentiment", "imdb", "banking77", "bias_identification", "intent_classification",
    "medical_question_pairs", "commonsense_qa", "yelp_review_full",
)  # fmt: skip
CONVENTIONS = ("raw", "rest", "rms", "rms_rest", "std")
TRAIN, TEST, LENGTH = 500, 400, 64


def rms(states: Tensor) -> Tensor:
    """States divided by their root mean square over the coordinates."""
    wide = states.float()
    return wide * wide.square().mean(-1, keepdim=True).add(1e-6).rsqrt()


class Collector:
    """What one pass keeps of every layer."""

    def __init__(self, n_layers: int, n_texts: int, width: int) -> None:
        shape = (n_layers + 1, n_texts, width)
        kinds = ("mean", "rest", "rms", "rms_rest", "last", "first")
        self.pooled = {kind: np.zeros(shape, dtype=np.float32) for kind in kinds}
        self.moments = [{name: ContextMoments(width, target_moment=False) for name in CONVENTIONS} for _ in range(n_layers + 1)]
        self.scale: dict[int, tuple[Tensor, Tensor]] = {}
        self.norms = np.zeros((n_layers + 1, 2))  # sum of log norms of first tokens, of others
        self.counts = np.zeros(2)
        self.largest: dict[int, tuple[float, int, int]] = {}
        self.seen = 0

    def __call__(self, layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
        states = states.float()
        rest, shorter = states[:, 1:], mask[:, 1:]
        alone = ~shorter.any(1)
        if alone.any():  # texts of one token have no rest: their token stands for it
            shorter = shorter.clone()
            shorter[alone, 0] = True
            rest = rest.clone()
            rest[alone, 0] = states[alone, 0]
        normed, normed_rest = rms(states), rms(rest)
        for kind, values, at, how in (
            ("mean", states, mask, "mean"), ("rest", rest, shorter, "mean"), ("rms", normed, mask, "mean"),
            ("rms_rest", normed_rest, shorter, "mean"), ("last", states, mask, "last"), ("first", states, mask, "cls"),
        ):  # fmt: skip
            self.pooled[kind][layer, rows] = pool(values, at, how).numpy()
        if layer not in self.scale:
            flat = states[mask]
            self.scale[layer] = flat.mean(0), flat.std(0).clamp(min=1e-6)
        mean, spread = self.scale[layer]
        whole, part = Places.of(mask), Places.of(shorter)
        for name, values, places in (
            ("raw", states, whole), ("rest", rest, part), ("rms", normed, whole), ("rms_rest", normed_rest, part),
            ("std", (states - mean) / spread, whole),
        ):  # fmt: skip
            self.moments[layer][name] = self.moments[layer][name].update(values, places)
        norm = states.norm(dim=-1).clamp(min=1e-9).log()
        self.norms[layer] += [float(norm[:, 0].sum()), float(norm[:, 1:][mask[:, 1:]].sum())]
        if layer == 0:
            self.counts += [len(states), int(mask[:, 1:].sum())]
        size = states.abs().masked_fill(~mask[:, :, None], 0).amax((0))
        top = int(size.flatten().argmax())
        found = (float(size.max()), top // size.shape[1], top % size.shape[1])
        self.largest[layer] = max(self.largest.get(layer, (0.0, 0, 0)), found)


def scores_of(collector: Collector, layer: int, labels: np.ndarray, n_classes: int) -> dict[str, dict[str, float]]:
    """The closed forms of a layer under each convention."""
    pooled_by = {"raw": "mean", "rest": "rest", "rms": "rms", "rms_rest": "rms_rest", "std": "mean"}
    folds = grouped_folds(labels, 3, seed=0)
    result = {}
    for name in CONVENTIONS:
        features = torch.from_numpy(collector.pooled[pooled_by[name]][layer, : len(labels)]).double()
        if name == "std":
            mean, spread = collector.scale[layer]
            features = (features - mean) / spread
        groups = [
            PooledMoments(features.shape[1], n_classes, shift_D=features.mean(0)).update(
                features[folds == fold], torch.from_numpy(labels[folds == fold])
            )
            for fold in range(3)
        ]
        rows = [features[folds == fold] for fold in range(3)]
        scores = score_layer(collector.moments[layer][name], groups, rows=rows, spectrum=False)
        result[name] = {key: value.value for key, value in scores.values.items()}
    return result


def collect(models: list[str], data: str, work: Path) -> None:
    """All models on all tasks; what is there is left."""
    for task_name in TASKS:
        for model in models:
            place = work / f"{Path(model).name}--{task_name}"
            if (place / "facts.json").exists():
                continue
            place.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            task = load_task(task_name, data=data, seed=0)
            train, test = task.sample(TRAIN, seed=0).train, task.sample(TEST, seed=0).test
            backbone = load_backbone(model, seed=0)
            texts = list(train.texts) + list(test.texts)
            tokens = tokenise(backbone, texts, max_length=LENGTH)
            collector = Collector(backbone.n_layers, len(texts), backbone.width)
            encode(backbone, tokens, collector)
            passed = time.perf_counter() - start
            with torch.inference_mode():
                scores = [
                    scores_of(collector, layer, train.labels, task.n_classes) for layer in range(backbone.n_layers + 1)
                ]
            for kind, values in collector.pooled.items():
                np.save(place / f"{kind}.npy", values.astype(np.float32))
            norms = collector.norms / collector.counts
            facts = {
                "model": model, "task": task_name, "n_train": len(train.texts), "n_classes": task.n_classes,
                "labels": [*train.labels.tolist(), *test.labels.tolist()], "tokens": int(tokens.n_tokens),
                "dtype": str(backbone.dtype), "width": backbone.width, "seconds": time.perf_counter() - start,
                "sink": np.exp(norms[:, 0] - norms[:, 1]).tolist(), "largest": [collector.largest[i] for i in range(backbone.n_layers + 1)],
                "scores": scores,
            }  # fmt: skip
            (place / "facts.json").write_text(json.dumps(facts))
            print(f"{place.name}: pass {passed:.0f} s, all {facts['seconds']:.0f} s, {facts['tokens']} tokens", flush=True)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["collect", "compare"])
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--data")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.step == "collect":
        collect(arguments.models, arguments.data, arguments.work)


if __name__ == "__main__":
    main()
