"""Word and character n-grams of texts in every script, weighted by TF-IDF.

    tfidf = (1 + log count) (1 + log((1 + N) / (1 + N_term))), rows scaled to length 1        (scikit-learn)

A word is a run of letters, digits and the marks on them (an Indic vowel sign is a mark), one letter long or longer; a
character of a script that is written without spaces (Han, Kana, Thai, Lao, Khmer, Burmese) is a word of its own, with
its marks; so is every punctuation mark and every symbol.  Words are counted alone and in pairs, characters in runs of
two to five within what white space parts.  Texts are compared in lower case and in Unicode's form NFKC.

Axes: N texts, F terms.
"""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from tokenworth.base.aliases import Floats

WORDS, CHARACTERS = "words", "characters"
MOST_TERMS = {WORDS: 50_000, CHARACTERS: 100_000}
"""The most frequent ones are kept."""

UNSPACED = (
    "\u0e01-\u0edf\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_JOINERS = "\u200c-\u200d"  # letters of Indic and Persian words are joined or parted by them within the word


@dataclass(frozen=True, eq=False, slots=True)
class Ngrams:
    """The terms of one kind that some texts have, and how much each counts."""

    kind: str
    """WORDS or CHARACTERS."""
    terms: list[str]
    idf_F: Floats

    def transform(self, texts: list[str]) -> Any:
        """Sparse TF-IDF (N, F) of texts; terms that are not known count nothing."""
        if not self.terms:
            from scipy.sparse import csr_matrix

            return csr_matrix((len(texts), 0))
        vectorizer = _vectorizer(self.kind, vocabulary={term: place for place, term in enumerate(self.terms)})
        vectorizer.idf_ = self.idf_F
        return vectorizer.transform(texts)


def fit_ngrams(kind: str, texts: list[str], most: int | None = None) -> tuple[Ngrams, Any]:
    """Terms that stand in at least two texts (in one, where none stands in two), and the TF-IDF (N, F) of the texts.

    Of more than ``most`` terms, or MOST_TERMS of the kind, the most frequent are kept.
    """
    for least_texts in (2, 1):
        vectorizer = _vectorizer(kind, min_df=least_texts, max_features=min(most or sys.maxsize, MOST_TERMS[kind]))
        try:
            rows = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn's "empty vocabulary"
            continue
        return Ngrams(kind, list(vectorizer.get_feature_names_out()), np.asarray(vectorizer.idf_)), rows
    nothing = Ngrams(kind, [], np.zeros(0))
    return nothing, nothing.transform(texts)


def _vectorizer(kind: str, **settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if kind == WORDS:
        settings |= {"token_pattern": word_pattern(), "ngram_range": (1, 2)}
    else:
        settings |= {"analyzer": "char_wb", "ngram_range": (2, 5)}
    return TfidfVectorizer(preprocessor=_normal_form, sublinear_tf=True, **settings)


def _normal_form(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


@lru_cache(maxsize=1)
def word_pattern() -> str:
    """A regular expression that matches one word."""
    marks = mark_class()
    return rf"[{UNSPACED}][{marks}]*|(?:[^\W{UNSPACED}]|[{marks}])+|[^\w\s]"


def mark_class() -> str:
    """The marks that letters carry, as the inside of a character class."""
    points = [point for point in range(0x300, 0x20000) if unicodedata.category(chr(point))[0] == "M"]
    runs = [[chr(point) for _, point in run] for _, run in groupby(enumerate(points), lambda pair: pair[1] - pair[0])]
    return "".join(f"{run[0]}-{run[-1]}" for run in runs) + _JOINERS
