"""The four kinds of cells: a bag of words, an assessed checkpoint, an adapted one, and training from random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenworth.adaptation import AdaptResult, adapt
from tokenworth.adaptation.route_settings import relevant_settings
from tokenworth.assessment import Assessment, assess
from tokenworth.assessment.probe_table import bow_row
from tokenworth.backbones.loading.loader import identity
from tokenworth.base.aliases import Facts, Progress
from tokenworth.encode.text_loss import loss_of
from tokenworth.tasks import Task
from tokenworth.tracing.run_reader import Checkpoint
from tokenworth.tracing.trace_cells import Cells
from tokenworth.tracing.trace_settings import TraceSettings

_TRANSFER = ("cv_accuracy", "cv_loss", "logme", "label_r2", "hscore", "knn_accuracy")
SCORES = (*_TRANSFER, "ntps", "ntps_excess", "ar_r2", "retained_auc", "k90")
"""What is kept of a layer; docs/results/which_scores.md says which of them order checkpoints."""


@dataclass(frozen=True, slots=True)
class Measurer:
    """Makes or reads the cells of one task."""

    cells: Cells
    task: Task
    settings: TraceSettings
    device: str
    dtype: str
    """Number format of the assessments, and of the routes where their settings name none."""
    cache: str | Path | bool
    progress: Progress | None
    started: Callable[[str], None]
    """Called with what is begun; finished cells are read in silence."""

    def bow(self) -> Facts:
        """The row of `Assessment.probes`, predictions included."""
        return self.cells.once(self._what("bow", ""), lambda _work: dict(bow_row(self.task)))

    def assessed(self, checkpoint: Checkpoint, bow: Facts) -> Facts:
        """Scores at the chosen layer and at the last, the best probe's test predictions, loss on the task's texts."""
        tokens = f"{checkpoint.tokens:,} tokens"

        def make(_work: Path) -> Facts:
            self.started(f"{self.task.name}: assessing the checkpoint of {tokens}")
            model, progress = checkpoint.model, self._named(tokens)
            running: dict[str, Any] = {
                "max_length": self.settings.max_length, "seed": self.settings.seed, "device": self.device,
                "dtype": self.dtype, "revision": checkpoint.revision,
            }  # fmt: skip
            assessment = assess(model, self.task, cache=self.cache, baseline=bow, progress=progress, **running)
            return _figures(assessment, loss_of(model, self.task.train.texts, **running))

        return self.cells.once(self._what("assess", checkpoint.fingerprint), make)

    def adapted(self, checkpoint: Checkpoint, seed: int) -> Facts:
        """LoRA on a checkpoint; random weights are those of the seed."""
        weights = checkpoint.fingerprint if not checkpoint.random else identity(checkpoint.model, seed=seed)
        return self._learned("lora", checkpoint, weights, seed)

    def scratch(self, checkpoint: Checkpoint, seed: int) -> Facts:
        """Training from random weights: any checkpoint will do, only its configuration and tokenizer are used."""
        twin = replace(checkpoint, hub_id=None, revision=None, random=True)
        return self._learned("scratch", twin, identity(twin.model, seed=seed), seed)

    def _learned(self, route: str, checkpoint: Checkpoint, weights: str, seed: int) -> Facts:
        config = self.settings.config
        pinned = replace(config, dtype=self.dtype) if config.dtype == "auto" else config

        def make(work: Path) -> Facts:
            where = f"LoRA at {checkpoint.tokens:,} tokens" if route == "lora" else "training from random weights"
            self.started(f"{self.task.name}: {where}, seed {seed}")
            progress = self._named(f"{where}, seed {seed}")
            running: dict[str, Any] = {
                "device": self.device, "cache": self.cache, "progress": progress, "revision": checkpoint.revision,
            }  # fmt: skip
            return _of_route(adapt(checkpoint.model, self.task, route, seed=seed, config=pinned, out=work, **running))

        relevant = relevant_settings(route)
        settings = {name: value for name, value in config.asdict().items() if name in relevant}
        return self.cells.once({**self._what(route, weights), "seed": seed, "settings": settings}, make)

    def _named(self, part: str) -> Progress | None:
        """Progress under a name of its own: the rate of one part says nothing about the next."""
        report = self.progress
        return None if report is None else lambda what, done, total: report(f"{part}: {what}", done, total)

    def _what(self, kind: str, weights: str) -> dict[str, Any]:
        asked = {"max_length": self.settings.max_length, "seed": self.settings.seed} if kind == "assess" else {}
        return {"kind": kind, "weights": weights, "task": self.task.fingerprint, **asked}


def _figures(assessment: Assessment, loss: dict[str, float]) -> Facts:
    """The few figures of an assessment that make a trace."""
    chosen, last = assessment.row(), assessment.row(int(max(row["layer"] for row in assessment.layers)))
    names = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high", "_chance")]
    return {
        "best_layer": assessment.best_layer,
        "n_layers": assessment.backbone["n_layers"],
        "probe": assessment.confusion["probe"],
        "predictions": assessment.predictions,
        "chosen": {name: chosen.get(name, math.nan) for name in names},
        "last": {name: last.get(name, math.nan) for name in names},
        "text_bits_per_byte": loss["bits_per_byte"],
        "tokens": assessment.task["tokens"],
        "seconds": assessment.timings["total"],
        "dtype": assessment.backbone["dtype"],
    }


def _of_route(result: AdaptResult) -> Facts:
    """Predictions of the test texts as class indices, and what they cost."""
    places = {name: place for place, name in enumerate(result.task["label_names"])}
    return {
        "predictions": [places[name] for name in result.predictions["predicted"]],
        "metrics": result.metrics,
        "train_f1": result.train_metrics.get("weighted_f1"),
        "train_flops": result.cost.get("train_flops"),
        "seconds": result.cost.get("seconds"),
        "trainable": result.parameters.get("trainable"),
    }
