"""What each score is called, what it says and what it may be trusted for: the words of the page, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One score of a layer and how it is shown.

    ``key`` is its column; ``companion`` a second column drawn thinly in the same panel. ``log`` marks a count of
    directions, shown over log2; ``flagged_as`` another score
    whose flags hold for this one too. ``says`` and ``trust`` are one sentence each.
    """

    key: str
    title: str
    says: str
    trust: str
    digits: int = 3
    log: bool = False
    companion: str = ""
    flagged_as: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Scores that answer the same question."""

    title: str
    lead: str
    metrics: tuple[Metric, ...]


GROUPS = (
    Group(
        "How well a simple read-out does",
        "Measured with a classifier on frozen features. These figures decide; everything below explains.",
        (
            Metric(
                "probe_f1",
                "Ridge probe",
                "F1 (thick) and accuracy (thin) of a linear read-out on test texts it never saw.",
                "The figure to decide with. The layer itself is chosen on training texts only.",
                companion="probe_accuracy",
            ),
            Metric(
                "knn_accuracy",
                "Nearest neighbours",
                "Accuracy when the closest training texts vote, in the features as they are.",
                "A check that needs no fitted read-out; it suffers where a few coordinates dominate the distances.",
            ),
            Metric(
                "cv_accuracy",
                "Cross-validation",
                "Accuracy of the ridge probe on held-out parts of the training texts.",
                "Its squared error picks the best layer. For quality, read the test figures of the ridge probe.",
            ),
        ),
    ),
    Group(
        "How much label signal a layer holds",
        "Closed forms on the training texts. They compare layers and backbones without fitting a classifier, and are "
        "no measure of quality on new texts.",
        (
            Metric(
                "label_r2",
                "Label R2",
                "Share of the label variance a linear read-out of the pooled text explains beyond chance.",
                "Order of layers: corrected for the number of dimensions, but still a training figure.",
            ),
            Metric(
                "hscore",
                "H-score",
                "Spread of the class means, relative to the (shrunk) spread of all features.",
                "Order of layers and of backbones on one task; its scale follows the number of classes.",
            ),
            Metric(
                "logme",
                "LogME",
                "Evidence per text for a linear model of the labels, averaged over classes.",
                "Differences only, on one task; the level by itself has no meaning.",
            ),
        ),
    ),
    Group(
        "How much of it next-token prediction kept",
        "Compares the directions of a layer that predict the next state with those that carry the label.",
        (
            Metric(
                "retained_auc",
                "Retained area",
                "Label signal kept by the k best next-token directions, averaged over log2 k.",
                "Exact, and unchanged by invertible maps of the features. Read what lies above the dashed level.",
            ),
            Metric(
                "k90",
                "k90",
                "Fewest next-token directions that keep nine tenths of the label signal; fewer is better.",
                "With few texts it swings widely: trust the interval, not the dot.",
                digits=0,
                log=True,
                flagged_as="retained_auc",
            ),
            Metric(
                "ntps",
                "NTPS",
                "Overlap of the leading next-token directions with the label directions, from 0 to 1.",
                "Only its excess over the dashed level, which shuffled labels reach too.",
            ),
            Metric(
                "ar_r2",
                "Autoregressive R2",
                "How much of the next state the leading next-token directions predict.",
                "Describes the backbone on these texts; it does not see the labels at all.",
            ),
        ),
    ),
)

METRICS: dict[str, Metric] = {metric.key: metric for group in GROUPS for metric in group.metrics}

COLUMNS: dict[str, str] = {
    "probe_f1": "Probe F1",
    "probe_accuracy": "Probe accuracy",
    "logistic_f1": "Logistic F1",
    "logistic_accuracy": "Logistic accuracy",
    "knn_accuracy": "kNN accuracy",
    "knn_f1": "kNN F1",
    "cv_accuracy": "CV accuracy",
    "cv_f1": "CV F1",
    "label_r2": "Label R2",
    "hscore": "H-score",
    "logme": "LogME",
    "retained_auc": "Retained area",
    "k90": "k90",
    "ntps": "NTPS",
    "ntps_excess": "NTPS excess",
    "ntps_auc": "NTPS area",
    "ar_r2": "AR R2",
}
"""Score columns in reading order, with their heads."""

DIGITS = {"k90": 0}
"""Decimals of a column where they are not three."""

FLAGGED = {**COLUMNS, "all": "Every score"}
"""Names of what a flag is about."""
