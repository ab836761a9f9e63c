"""Labelled training texts that share most words with a text, where no backbone is at hand to compare states.

Alike by the cosine of TF-IDF of words and pairs of words (`probes.ngrams`), the nearest last; a training text that
reads the same as the text is never its example.

Axes: N training texts, M texts asked about, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tokenworth.base.aliases import Ints
from tokenworth.probes.ngrams import WORDS, fit_ngrams

_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class SimilarTexts:
    """Training texts by their words."""

    texts: list[str]
    labels_N: Ints
    shots: int

    def rows(self, texts: list[str]) -> list[Ints]:
        """Of each text, the training texts that are its examples, from the least to the most alike.

        Of those that are equally alike the earlier ones are nearer.
        """
        return [row for start in range(0, len(texts), _AT_ONCE) for row in self._some(texts[start : start + _AT_ONCE])]

    def _some(self, texts: list[str]) -> list[Ints]:
        ngrams, train_NF = self._fitted
        alike_MN = np.asarray((ngrams.transform(texts) @ train_NF.T).todense())
        for row, text in enumerate(texts):
            alike_MN[row, self._places.get(text, [])] = -1.0
        nearest_MK = np.argsort(-alike_MN, axis=1, kind="stable")[:, : self.shots]
        return [row_K[alike_N[row_K] >= 0][::-1] for row_K, alike_N in zip(nearest_MK, alike_MN, strict=True)]

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        return fit_ngrams(WORDS, self.texts)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for row, text in enumerate(self.texts):
            places.setdefault(text, []).append(row)
        return places

    def save(self) -> dict[str, Any]:
        """As JSON keeps it; the words are counted again when it is read."""
        return {"texts": self.texts, "labels": self.labels_N.tolist(), "shots": self.shots}


def load_similar(facts: dict[str, Any]) -> SimilarTexts:
    """The way back from `SimilarTexts.save`."""
    return SimilarTexts(facts["texts"], np.array(facts["labels"], dtype=np.int64), facts["shots"])
