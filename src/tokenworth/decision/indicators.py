"""What an assessment says of a task and a backbone, as the named numbers that predictors learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tokenworth.assessment import Assessment
from tokenworth.decision.decision_metric import DEFAULT_METRIC, REFERENCES, of_probe

_SUBSPACES = ("ntps", "ntps_excess", "ntps_published", "retained_auc", "ar_r2")
_OF_LAYER = ("cv_f1", "knn_f1", *_SUBSPACES, "hscore", "logme", "label_r2")
_OF_TASK = ("log_texts", "log_tokens", "log_length", "log_classes", "imbalance")
_OF_BACKBONE = ("log_parameters", "log_width", "layers")
_OF_LOSS = ("nll", "bits_per_byte")
INDICATORS = ("probe_f1", "bow_f1", "majority_f1", *_OF_LAYER, "k90_share", *_OF_TASK, *_OF_BACKBONE, *_OF_LOSS)
"""Names of all indicators; one that does not exist is NaN."""


def indicators_of(
    assessment: Assessment, loss: Mapping[str, float | None] | None = None, *, metric: str = DEFAULT_METRIC
) -> dict[str, float]:
    """INDICATORS of an assessment; scores are those of its chosen layer, logarithms natural.

    probe_f1 and bow_f1 are the metric on the test split, what the routes probe and bow would report.  log_tokens is
    that of all training tokens; imbalance is 1 - entropy of the classes / its maximum.

    Args:
        assessment: of the task and the backbone.
        loss: what `text_loss` found, for nll and bits_per_byte: an optional pass of its own.
        metric: one of `metrics.IN_WORDS`.
    """
    row = assessment.row()
    tokens, texts = assessment.task["tokens"]["train"]["total"], assessment.task["texts"]["train"]
    width = assessment.backbone["width"]
    indicators = {
        **{f"{who}_f1": value for who, value in references_of(assessment, metric).items()},
        "k90_share": _number(row.get("k90")) / width,
        "log_texts": np.log(texts),
        "log_tokens": np.log(max(tokens, 1)),
        "log_length": np.log(max(tokens, 1) / texts),
        "log_classes": np.log(len(assessment.task["label_names"])),
        "imbalance": imbalance(assessment.task["counts"]["classes"]["train"]),
        "log_parameters": np.log(assessment.backbone["n_parameters"]),
        "log_width": np.log(width),
        "layers": assessment.backbone["n_layers"],
        **{name: _number((loss or {}).get(name)) for name in _OF_LOSS},
        **{name: _number(row.get(name)) for name in _OF_LAYER},
    }
    return {name: float(indicators[name]) for name in INDICATORS}


def references_of(assessment: Assessment, metric: str) -> dict[str, float]:
    """The metric of the chosen probe, of a bag of words and of the majority class on the test split."""
    rows = {probe["kind"]: probe for probe in assessment.probes}
    rows["probe"] = next(probe for probe in assessment.probes if probe["name"] == assessment.confusion["probe"])
    return {who: of_probe(rows[who], metric) for who in REFERENCES}


def imbalance(counts_C: list[int]) -> float:
    """1 - entropy of the class shares / log C: 0 for equal classes, towards 1 for one that has nearly all texts."""
    share_C = np.array([count for count in counts_C if count], dtype=float) / sum(counts_C)
    most = np.log(len(counts_C))
    return float(1 + (share_C * np.log(share_C)).sum() / most) if most > 0 else 0.0


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
