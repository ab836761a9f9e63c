"""Probes on frozen features, and the bag of words that any language model has to beat."""

from tokenworth.probes.bag_of_words import BagOfWordsModel, bag_of_words, fit_bag_of_words
from tokenworth.probes.folds import grouped_folds
from tokenworth.probes.logistic import Linear, LogisticProbe, logistic_probe
from tokenworth.probes.metrics import Metrics, evaluate, mcnemar, paired_difference
from tokenworth.probes.neighbours import nearest_labels, vote
from tokenworth.probes.probability_metrics import METRICS, measure
from tokenworth.probes.ridge import RidgeProbe, ridge_probe

__all__ = [
    "METRICS",
    "BagOfWordsModel",
    "Linear",
    "LogisticProbe",
    "Metrics",
    "RidgeProbe",
    "bag_of_words",
    "evaluate",
    "fit_bag_of_words",
    "grouped_folds",
    "logistic_probe",
    "mcnemar",
    "measure",
    "nearest_labels",
    "paired_difference",
    "ridge_probe",
    "vote",
]
