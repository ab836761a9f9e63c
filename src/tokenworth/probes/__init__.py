"""Probes on frozen features, and the bag of words that any language model has to beat."""

from tokenworth.probes.bag_of_words import bag_of_words
from tokenworth.probes.folds import grouped_folds
from tokenworth.probes.logistic import LogisticProbe, logistic_probe
from tokenworth.probes.metrics import Metrics, evaluate, paired_difference
from tokenworth.probes.neighbours import nearest_labels, vote
from tokenworth.probes.ridge import RidgeProbe, ridge_probe

__all__ = [
    "LogisticProbe",
    "Metrics",
    "RidgeProbe",
    "bag_of_words",
    "evaluate",
    "grouped_folds",
    "logistic_probe",
    "nearest_labels",
    "paired_difference",
    "ridge_probe",
    "vote",
]
