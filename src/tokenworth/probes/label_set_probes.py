"""Bag of words and logistic probe of several labels a text, with the predictions of an assessment.

A label is predicted from the one probability on that gives training texts, each by a fit that never saw it, the best
micro F1: an assessment cuts no validation part.  Axes: N training texts, M test texts, D features, C labels.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Ints
from tokenworth.probes.bag_of_words import BagOfWords, choose_recipe, fit_bag_of_words
from tokenworth.probes.folds import grouped_folds, stratified_part
from tokenworth.probes.label_set_logistic import label_set_probe
from tokenworth.probes.label_set_metrics import sigmoid
from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.probes.logistic import SEARCH_FOLDS, SEARCH_TEXTS, Features, LogisticProbe


def label_bag_of_words(
    train: list[str], labels_NC: Ints, test: list[str], *, groups_N: Ints | None = None, seed: int = 0
) -> BagOfWords:
    """As `bag_of_words`; its predictions are (M, C)."""
    n_labels = labels_NC.shape[1]
    recipe = choose_recipe(train, labels_NC, groups_N=groups_N, seed=seed)
    rows = stratified_part(labels_NC, -(-len(train) // SEARCH_TEXTS), seed)
    folds_N = grouped_folds(
        labels_NC[rows], SEARCH_FOLDS, groups_N=None if groups_N is None else groups_N[rows], seed=seed
    )
    held_out_NC = np.zeros((len(rows), n_labels))
    for fold in range(int(folds_N.max()) + 1):
        seen, asked = rows[folds_N != fold], rows[folds_N == fold]
        part = fit_bag_of_words([train[i] for i in seen], labels_NC[seen], n_labels, recipe=recipe)
        held_out_NC[folds_N == fold] = sigmoid(part.scores([train[i] for i in asked]))
    threshold = shared_threshold(labels_NC[rows], held_out_NC)
    model = fit_bag_of_words(train, labels_NC, n_labels, recipe=recipe)
    said_MC = (sigmoid(model.scores(test)) >= threshold).astype(np.int64)
    return BagOfWords(said_MC, model.n_terms, model.recipe, model.setting())


def label_logistic_probe(
    train_ND: Features, labels_NC: Ints, test_MD: Features, *, groups_N: Ints | None = None, seed: int = 0
) -> LogisticProbe:
    """As `logistic_probe`; its predictions are (M, C), and its accuracy is that of texts whose labels are all right."""
    probe = label_set_probe(train_ND, labels_NC, groups_N=groups_N, seed=seed)
    said_MC = (sigmoid(probe.linear.scores(test_MD)) >= probe.threshold).astype(np.int64)
    return LogisticProbe(said_MC, probe.inverse_penalty, probe.cv_accuracy, True, probe.linear)
