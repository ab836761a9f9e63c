"""Training texts whose label is probably wrong: confident learning on probabilities of models that did not see them.

Source: Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset Labels; cleanlab.
"""

from __future__ import annotations

import warnings

import numpy as np

from tokenworth.adaptation.storage.adapt_result import Mislabelled
from tokenworth.base.aliases import Floats, Ints
from tokenworth.probes import fit_bag_of_words, grouped_folds
from tokenworth.probes.bag_of_words import DEFAULT_RECIPE
from tokenworth.probes.probability_metrics import softmax
from tokenworth.tasks import Split
from tokenworth.tasks.split import sample

FOLDS = 5
MOST_TEXTS = 10_000
"""Of more training texts a sample is looked at."""
MOST_CLASSES = 100
LISTED = 50


def likely_mislabelled(train: Split, label_names: tuple[str, ...], seed: int) -> list[Mislabelled]:
    """The most suspicious training texts: row, text, label, the class that fits better, and both probabilities.

    Probabilities are those of a bag of words fitted without the text's fold, whatever the route: a tuned network has
    learnt the wrong labels too.  Nothing is listed for more than MOST_CLASSES classes.
    """
    if len(label_names) > MOST_CLASSES:
        return []
    rows = sample(train.labels, MOST_TEXTS, seed)
    part = train.take(rows)
    probability_NC = out_of_fold(part, len(label_names), seed)
    label_N, better_N = part.labels, probability_NC.argmax(1)
    return [
        {
            "row": int(rows[place]),
            "text": part.texts[place][:500],
            "label": label_names[label_N[place]],
            "suggested": label_names[better_N[place]],
            "p_label": float(probability_NC[place, label_N[place]]),
            "p_suggested": float(probability_NC[place, better_N[place]]),
        }
        for place in _issues(label_N, probability_NC)[:LISTED]
    ]


def out_of_fold(part: Split, n_classes: int, seed: int) -> Floats:
    """Probabilities (N, C) of each text by a bag of words that never saw its fold."""
    folds_N = grouped_folds(part.labels, FOLDS, groups_N=part.units(), seed=seed)
    probability_NC = np.full((len(part), n_classes), 1 / n_classes)
    for fold in range(int(folds_N.max()) + 1):
        held_out = np.flatnonzero(folds_N == fold)
        seen = part.take(np.flatnonzero(folds_N != fold))
        if len(seen):
            fitted = fit_bag_of_words(seen.texts, seen.labels, n_classes, recipe=DEFAULT_RECIPE)
            probability_NC[held_out] = softmax(fitted.scores([part.texts[i] for i in held_out]))
    return probability_NC


def _issues(labels_N: Ints, probability_NC: Floats) -> Ints:
    """Places of suspicious texts, least self-confident first."""
    from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]

    there, place_N = np.unique(labels_N, return_inverse=True)
    among_NC = probability_NC[:, there]
    among_NC = among_NC / np.maximum(among_NC.sum(1, keepdims=True), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranked = find_label_issues(place_N, among_NC, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(ranked, dtype=np.int64)
