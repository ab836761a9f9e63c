"""TF-IDF with logistic regression: what any language model has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.probes.linear import Linear, from_logistic

SETTING = "word 1-2-grams in at least 2 texts, 50,000 features, sublinear tf; logistic regression, C = 10"
MAX_FEATURES = 50_000
MAX_WEIGHTS = 50_000_000
"""Features times classes; beyond a thousand classes there are fewer features, or they would fill the memory."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class BagOfWords:
    """Predictions for the test texts (M,) and the number of features."""

    test_M: Ints
    n_features: int


@dataclass(frozen=True, eq=False, slots=True)
class BagOfWordsModel:
    """A fitted bag of words: terms and their weights, and the read-out over them.  F terms, C classes."""

    terms: list[str]
    idf_F: Floats
    linear: Linear

    def scores(self, texts: list[str]) -> Floats:
        """Log-odds (N, C) of texts."""
        if not self.terms:
            return np.tile(self.linear.intercept_C, (len(texts), 1))
        vectorizer = _vectorizer(vocabulary={term: place for place, term in enumerate(self.terms)})
        vectorizer.idf_ = self.idf_F
        return self.linear.scores(vectorizer.transform(texts))


def fit_bag_of_words(
    texts: list[str],
    labels_N: Ints,
    n_classes: int,
    *,
    class_weight: str | None = None,
    inverse_penalty: float = 10.0,
) -> BagOfWordsModel:
    """Fit TF-IDF and logistic regression; no tuning.

    Args:
        texts: training texts.
        labels_N: their classes.
        n_classes: C.
        class_weight: "balanced" weighs classes inversely to how often they occur.
        inverse_penalty: C of scikit-learn's logistic regression.
    """
    from sklearn.linear_model import LogisticRegression

    features, vectorizer = _features(texts, min(MAX_FEATURES, max(1, MAX_WEIGHTS // n_classes)))
    if vectorizer is None or len(np.unique(labels_N)) == 1:  # nothing to tell texts apart by, or no need to
        share_C = np.bincount(labels_N, minlength=n_classes) / len(labels_N)
        return BagOfWordsModel([], np.zeros(0), Linear(np.zeros((0, n_classes)), np.log(np.maximum(share_C, 1e-12))))
    model = LogisticRegression(C=inverse_penalty, max_iter=1000, class_weight=class_weight).fit(features, labels_N)
    return BagOfWordsModel(
        list(vectorizer.get_feature_names_out()), np.asarray(vectorizer.idf_), from_logistic(model, n_classes)
    )


def bag_of_words(train: list[str], labels_N: Ints, test: list[str]) -> BagOfWords:
    """Fit TF-IDF and logistic regression on the training texts and predict the test texts.  No tuning."""
    fitted = fit_bag_of_words(train, labels_N, int(labels_N.max()) + 1)
    return BagOfWords(fitted.scores(test).argmax(1), len(fitted.terms))


def _features(texts: list[str], most: int) -> tuple[Any, Any]:
    """The sparse features and their vectorizer; None where the texts hold not one word."""
    for min_df in (2, 1):  # few short texts may have no word that stands in two of them
        vectorizer = _vectorizer(min_df=min_df, max_features=most)
        try:
            return vectorizer.fit_transform(texts), vectorizer
        except ValueError:  # scikit-learn's "empty vocabulary"
            continue
    return None, None


def _vectorizer(**settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **settings)
