"""The bag of words: what any language model has to beat, in every script and as strong as a plain recipe can be.

TF-IDF of word or character n-grams, each term scaled by what it says of the class or not, then one logistic regression
a class against the rest:

    r_c = log (1 + texts of c with the term) / (sum over terms) - the same of all other texts      per term and class c
    p(c | x) = sigmoid(w_c . (r_c * x) + b_c), divided by the sum over the classes; r_c = 1 where terms are not scaled

Which n-grams, and whether they are scaled (RECIPES), is chosen by cross-fitting on training texts.  What each brings
was measured on 17 tasks (docs/results/bag_of_words.md).

Source of the scaling: Wang and Manning (2012), Baselines and Bigrams, ACL.

Axes: N texts, M test texts, F terms, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.probes.folds import grouped_folds, stratified_part
from tokenworth.probes.label_set_metrics import label_set_value, sigmoid
from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.probes.logistic import Linear
from tokenworth.probes.ngrams import CHARACTERS, WORDS, Ngrams, fit_ngrams


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a bag holds."""

    kinds: tuple[str, ...]
    """Of n-grams."""
    scaled: bool = True
    """Whether each term is scaled by what it says of the class."""


RECIPES = {
    "words": Recipe((WORDS,)),
    "words and characters": Recipe((WORDS, CHARACTERS)),
    "characters": Recipe((CHARACTERS,)),
    "words and characters, unscaled": Recipe((WORDS, CHARACTERS), scaled=False),
}
"""Of equally good ones the first is taken."""
DEFAULT_RECIPE = "words"
MOST_WEIGHTS = 50_000_000
"""Terms times classes; beyond some hundred classes there are fewer terms, or they would fill the memory."""
MOST_CHARACTERS = 50_000_000
"""Of all training texts; beyond it characters are left out, which would take minutes."""
SEARCH_TEXTS, SEARCH_CHARACTERS, SEARCH_FOLDS = 3_000, 1_500_000, 3
"""The recipe is chosen on so many training texts at most."""
_SEARCH_CLASSES = 20
"""With more classes the recipe is chosen on one fold held out instead of on all: a class costs a fit each."""


@dataclass(frozen=True, eq=False, slots=True)
class BagOfWords:
    """Predictions for the test texts (M,), the number of terms, and how they were made."""

    test_M: Ints
    n_features: int
    recipe: str
    """A key of RECIPES."""
    setting: str


@dataclass(frozen=True, eq=False, slots=True)
class BagOfWordsModel:
    """A fitted bag of words: its terms, and the read-out over them."""

    recipe: str
    """A key of RECIPES."""
    blocks: tuple[Ngrams, ...]
    """Terms of each kind of n-gram, with their weights."""
    linear: Linear
    """Log-odds of each class against the rest."""
    several: bool = False
    """Whether a text may have several classes, each with log-odds of its own."""

    @property
    def n_terms(self) -> int:
        """How many terms it knows."""
        return sum(len(block.terms) for block in self.blocks)

    def scores(self, texts: list[str]) -> Floats:
        """(N, C): their softmax is the probability of each class; of several labels a text each one's sigmoid."""
        odds_NC = self.linear.scores(_joined(block.transform(texts) for block in self.blocks))
        return odds_NC if self.several else log_shares(odds_NC)

    def terms_per_text(self, texts: Sequence[str]) -> float:
        """Known terms that a text holds in the mean."""
        sample = list(texts[:200])
        return float(_joined(block.transform(sample) for block in self.blocks).nnz / max(1, len(sample)))

    def setting(self) -> str:
        """How it was made, in a line."""
        names = {WORDS: "words (1-2)", CHARACTERS: "characters (2-5)"}
        grams = " and ".join(names[block.kind] for block in self.blocks)
        scaled = " scaled by naive Bayes" if RECIPES[self.recipe].scaled else ""
        return f"n-grams of {grams}, sublinear TF-IDF{scaled}; logistic regression by class, C = {_INVERSE_PENALTY:g}"


_INVERSE_PENALTY = 10.0


@one_blas_thread()
def fit_bag_of_words(
    texts: list[str],
    labels_N: Ints,
    n_classes: int,
    *,
    recipe: str | None = None,
    class_weight: str | None = None,
    groups_N: Ints | None = None,
    seed: int = 0,
) -> BagOfWordsModel:
    """Fit a bag of words on training texts and their classes (N,), or several labels a text (N, C).

    ``recipe`` is a key of RECIPES; None chooses one by cross-fitting, which does not part texts of one group.  With
    ``class_weight`` "balanced" texts weigh inversely to how often their class occurs.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    recipe = recipe or choose_recipe(texts, labels_N, groups_N=groups_N, seed=seed)
    kinds, most = RECIPES[recipe].kinds, max(1, MOST_WEIGHTS // n_classes)
    fitted = [fit_ngrams(kind, texts, most // len(kinds)) for kind in kinds]
    rows, scaled = _joined(rows for _, rows in fitted), RECIPES[recipe].scaled
    if labels_N.ndim == 2:
        linear = _fit_labels(rows, labels_N, class_weight, scaled=scaled)
    else:
        weights_N = None if class_weight is None else compute_sample_weight(class_weight, labels_N)
        linear = _fit(rows, labels_N, n_classes, weights_N, scaled=scaled)
    return BagOfWordsModel(recipe, tuple(block for block, _ in fitted), linear, several=labels_N.ndim == 2)


def bag_of_words(
    train: list[str], labels_N: Ints, test: list[str], *, groups_N: Ints | None = None, seed: int = 0
) -> BagOfWords:
    """Fit a bag of words on the training texts, its n-grams chosen there, and predict the test texts."""
    model = fit_bag_of_words(train, labels_N, int(labels_N.max()) + 1, groups_N=groups_N, seed=seed)
    return BagOfWords(model.scores(test).argmax(1), model.n_terms, model.recipe, model.setting())


@one_blas_thread()
def choose_recipe(texts: list[str], labels_N: Ints, *, groups_N: Ints | None = None, seed: int = 0) -> str:
    """The recipe that is right most often on training texts held out; the first of equals.

    Of several labels a text it is the one of best micro F1, at the one threshold that is best for it.  Terms and their
    frequencies are those of all the texts looked at, which no label enters.
    """
    characters = sum(map(len, texts))
    if characters > MOST_CHARACTERS:
        return DEFAULT_RECIPE
    parts = max(-(-len(texts) // SEARCH_TEXTS), -(-characters // SEARCH_CHARACTERS))
    rows = stratified_part(labels_N, parts, seed)
    labels = labels_N[rows]
    if len(np.unique(labels)) < 2 or len(rows) < SEARCH_FOLDS:
        return DEFAULT_RECIPE
    folds = grouped_folds(labels, SEARCH_FOLDS, groups_N=None if groups_N is None else groups_N[rows], seed=seed)
    looked_at = [texts[row] for row in rows]
    grams = {kind: fit_ngrams(kind, looked_at)[1] for kind in (WORDS, CHARACTERS)}
    hits_of = _hits if labels.ndim == 1 else _label_hits
    hits = {
        name: hits_of(_joined(grams[kind] for kind in recipe.kinds), labels, folds, scaled=recipe.scaled)
        for name, recipe in RECIPES.items()
    }
    return max(hits, key=lambda name: hits[name])


def log_shares(odds_NC: Floats) -> Floats:
    """Log-odds of each class against the rest as logarithms of their probabilities, to be divided by their sum.

    Two classes share one pair of log-odds, z and -z: their scores are z/2 and -z/2, which come to the same.
    """
    if odds_NC.shape[1] == 2:
        return odds_NC / 2
    return np.asarray(-np.logaddexp(0.0, -odds_NC))


def _hits(rows: Any, labels_N: Ints, folds_N: Ints, *, scaled: bool) -> int:
    """Texts whose class is found by a fit on the other folds."""
    _, labels_N = np.unique(labels_N, return_inverse=True)
    n_classes, hits = int(labels_N.max()) + 1, 0
    folds = range(int(folds_N.max()) + 1) if n_classes <= _SEARCH_CLASSES else range(1)
    for fold in folds:
        seen, held_out = np.flatnonzero(folds_N != fold), np.flatnonzero(folds_N == fold)
        if len(np.unique(labels_N[seen])) > 1 and len(held_out):
            linear = _fit(rows[seen], labels_N[seen], n_classes, None, scaled=scaled)
            hits += int((linear.scores(rows[held_out]).argmax(1) == labels_N[held_out]).sum())
    return hits


def _label_hits(rows: Any, labels_NC: Ints, folds_N: Ints, *, scaled: bool) -> float:
    """Micro F1 of labels by fits on the other folds, at the threshold that is best there."""
    folds = range(int(folds_N.max()) + 1) if labels_NC.shape[1] <= _SEARCH_CLASSES else range(1)
    odds_NC, asked_N = np.zeros(labels_NC.shape), np.isin(folds_N, folds)
    for fold in folds:
        held_out = folds_N == fold
        linear = _fit_labels(rows[~held_out], labels_NC[~held_out], None, scaled=scaled)
        odds_NC[held_out] = linear.scores(rows[held_out])
    true_NC, probability_NC = labels_NC[asked_N], sigmoid(odds_NC[asked_N])
    threshold = shared_threshold(true_NC, probability_NC)
    return label_set_value("micro_f1", true_NC, probability_NC, np.full(labels_NC.shape[1], threshold))


def _fit_labels(rows: Any, labels_NC: Ints, class_weight: str | None, *, scaled: bool) -> Linear:
    """One logistic regression a label; one that all texts have or lack says how often that is."""
    from sklearn.utils.class_weight import compute_sample_weight

    n, n_labels = labels_NC.shape
    weights_FC = np.zeros((rows.shape[1], n_labels), np.float32)
    share_C = np.clip(labels_NC.mean(0), 0.5 / n, 1 - 0.5 / n)
    intercept_C = np.log(share_C / (1 - share_C))
    varies_C = labels_NC.any(0) & ~labels_NC.all(0) & (rows.shape[1] > 0)
    for label in np.flatnonzero(varies_C):
        has_N = labels_NC[:, label] > 0
        weights_N = None if class_weight is None else compute_sample_weight(class_weight, has_N)
        weights_FC[:, label], intercept_C[label] = _fit_class(rows, has_N, weights_N, scaled=scaled)
    return Linear(weights_FC, intercept_C)


def _fit(rows: Any, labels_N: Ints, n_classes: int, weights_N: Floats | None, *, scaled: bool) -> Linear:
    """One logistic regression a class, as weights of the terms as they come."""
    there = np.unique(labels_N)
    if not rows.shape[1] or len(there) == 1:  # nothing to tell texts apart by, or no need to
        share_C = np.maximum(np.bincount(labels_N, minlength=n_classes) / len(labels_N), 1e-12)
        log_odds_C = np.log(share_C) - np.log(np.maximum(1 - share_C, 1e-12))
        return Linear(np.zeros((rows.shape[1], n_classes), np.float32), log_odds_C)
    weights_FC, intercept_C = np.zeros((rows.shape[1], n_classes), np.float32), np.full(n_classes, -1e4)
    one_fit = n_classes == 2 and len(there) == 2
    for label in there[1:] if one_fit else there:
        weights_FC[:, label], intercept_C[label] = _fit_class(rows, labels_N == label, weights_N, scaled=scaled)
    if one_fit:
        weights_FC[:, 0], intercept_C[0] = -weights_FC[:, 1], -intercept_C[1]
    return Linear(weights_FC, intercept_C)


def _fit_class(
    rows: Any, is_class_N: NDArray[np.bool_], weights_N: Floats | None, *, scaled: bool
) -> tuple[Floats, float]:
    from scipy.sparse import diags
    from sklearn.linear_model import LogisticRegression

    ratio_F = naive_bayes_ratio(rows, is_class_N) if scaled else np.ones(rows.shape[1])
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
    model.fit(rows @ diags(ratio_F), is_class_N, sample_weight=weights_N)
    return model.coef_[0] * ratio_F, float(model.intercept_[0])


def naive_bayes_ratio(rows: Any, is_class_N: NDArray[np.bool_]) -> Floats:
    """log of how much more often each term (F,) stands in the texts of a class than in the others, one text added."""
    holds = (rows > 0).astype(np.float64)
    inside_F, outside_F = (1.0 + np.asarray(holds[part].sum(0))[0] for part in (is_class_N, ~is_class_N))
    return np.asarray(np.log(inside_F / inside_F.sum()) - np.log(outside_F / outside_F.sum()))


def _joined(blocks: Iterable[Any]) -> Any:
    """Sparse columns beside each other."""
    from scipy.sparse import hstack

    return hstack(list(blocks)).tocsr()
