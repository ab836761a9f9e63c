"""What is said of contrastive training where labels are few: what measuring it takes, as nothing predicts it.

No finished cells of that route come with the package, so that it is no option of the table: cells of other routes are
of tasks with thousands of labels.  Own studies that hold it (--calibration) make it an option like others.
"""

from __future__ import annotations

from tokenworth.base.progress import duration
from tokenworth.decision.options import Work
from tokenworth.errors import BackboneError

ROUTE = "contrastive"
FEW = 64
"""Texts a class, in the mean, up to which it was measured (docs/results/few_labels.md)."""


def few_label_sentences(work: Work) -> list[str]:
    """One a backbone that is an encoder, where labels are few and the calibration does not have the route."""
    task = work.task
    if task.several or len(task.train) > FEW * task.n_classes or ROUTE in work.forecaster.routes():
        return []
    sentences, a_class = [], len(task.train) / task.n_classes
    for name, assessment in zip(work.assessed.models, work.assessed.assessments, strict=True):
        if name not in work.said or assessment.backbone["causal"]:
            continue
        try:
            seconds = work.cost(name, ROUTE).seconds
        except BackboneError:
            continue
        sentences.append(
            f"Labels are few ({a_class:.0f} a class): what contrastive training of {name} brings "
            "cannot be told beforehand, as no finished runs come with the package; to measure it takes "
            f"{duration(seconds)} (tokenworth adapt with --route {ROUTE})."
        )
    return sentences
