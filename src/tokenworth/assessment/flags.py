"""Where a number means nothing, or less than it seems to: said beside the numbers."""

from __future__ import annotations

import numpy as np

from tokenworth.assessment.assessment_result import Flag
from tokenworth.backbones import Backbone
from tokenworth.tasks import Task

SMALL_TEST = 200
SMALL_CLASS = 10
NOT_AUTOREGRESSIVE = "not autoregressive: this backbone has seen the next token, so it is not ranked against decoders"


def find_flags(task: Task, backbone: Backbone, reasons: dict[int, dict[str, str]]) -> list[Flag]:
    """Flags of the task, of the backbone and of single layers, one for each reason (by layer, the reason by score)."""
    flags = list[tuple[int | None, str, str]]()
    if not backbone.causal:
        flags += [(None, score, NOT_AUTOREGRESSIVE) for score in ("ntps", "ar_r2")]
    if len(task.test) < SMALL_TEST:
        flags.append((None, "all", f"only {len(task.test)} test texts: read the intervals, not the figures"))
    smallest = int(np.bincount(task.train.labels, minlength=task.n_classes).min())
    if smallest < SMALL_CLASS:
        flags.append((None, "all", f"the smallest class has {smallest} training texts: its figures are chance"))
    for layer, by_score in reasons.items():
        flags += [(layer, score, reason) for score, reason in by_score.items() if reason]
    return [{"layer": layer, "score": score, "reason": reason} for layer, score, reason in flags]
