"""Every one of several labels by itself: what pages show where there is no confusion matrix."""

from __future__ import annotations

from tokenworth.assessment.assessment_result import LabelRow
from tokenworth.probes.label_kinds import Labels
from tokenworth.probes.label_set_metrics import figures_by_label
from tokenworth.tasks import Task


def label_rows(task: Task, predicted_MC: Labels, *, seed: int = 0) -> list[LabelRow]:
    """Counts and F1 of each label over the M test texts, of predictions (M, C)."""
    found = figures_by_label(task.test.labels, predicted_MC, seed=seed)
    return [
        LabelRow(
            label=name,
            texts=int(found.texts[c]),
            predicted=int(found.predicted[c]),
            right=int(found.hits[c]),
            f1=float(found.f1[c]),
            f1_low=float(found.f1_low[c]),
            f1_high=float(found.f1_high[c]),
        )
        for c, name in enumerate(task.label_names)
    ]
