"""TF-IDF with logistic regression: what any language model has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SETTING = "word 1-2-grams in at least 2 texts, 50,000 features, sublinear tf; logistic regression, C = 10"


@dataclass(frozen=True, eq=False, slots=True)
class BagOfWords:
    """Predictions for the test texts (M,) and the number of features."""

    test_M: NDArray[np.int64]
    n_features: int


def bag_of_words(train: list[str], labels_N: NDArray[np.int64], test: list[str]) -> BagOfWords:
    """Fit TF-IDF and logistic regression on the training texts and predict the test texts.  No tuning."""
    from sklearn.linear_model import LogisticRegression

    train_x, test_x, n_features = _features(train, test)
    if not n_features:  # texts without a single word: the majority class is all there is
        return BagOfWords(np.full(len(test), np.bincount(labels_N).argmax()), 0)
    model = LogisticRegression(C=10, max_iter=1000).fit(train_x, labels_N)
    return BagOfWords(np.asarray(model.predict(test_x)), n_features)


def _features(train: list[str], test: list[str]) -> tuple[object, object, int]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    for min_df in (2, 1):  # few short texts may have no word that stands in two of them
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=min_df, max_features=50_000, sublinear_tf=True)
        try:
            features = vectorizer.fit_transform(train)
        except ValueError:  # scikit-learn's "empty vocabulary"
            continue
        return features, vectorizer.transform(test), len(vectorizer.vocabulary_)
    return None, None, 0
