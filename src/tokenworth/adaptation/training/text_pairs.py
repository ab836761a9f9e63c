"""Pairs for contrastive training: every text with another of its class and with one of another class.

Axes: B texts of a batch, N texts.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Ints


class TextPairs:
    """Partners of texts, a pure function of seed, step and text, however many processes share a batch.

    Both are drawn with the same chance among all that there are.  Source: Tunstall et al. (2022), Efficient Few-Shot
    Learning Without Prompts (2209.11055), whose first code draws one of each a text and pass.
    """

    def __init__(self, labels_N: Ints, seed: int) -> None:
        self.labels_N, self.seed = labels_N, seed
        self.by_class_N = np.argsort(labels_N, kind="stable")
        """Texts, those of a class behind each other."""
        self.place_N = np.argsort(self.by_class_N, kind="stable")
        counts_C = np.bincount(labels_N)
        self.end_C = counts_C.cumsum()
        self.start_C = self.end_C - counts_C

    def of(self, step: int, rows_B: Ints) -> tuple[Ints, Ints]:
        """Texts of the same class (B,), where it has no other the text itself, and texts of another class (B,)."""
        drawn = [self._drawn(step, int(row)) for row in rows_B]
        same_B, other_B = np.array(drawn, dtype=np.int64).reshape(-1, 2).T
        return same_B, other_B

    def texts(self, step: int, rows_B: Ints) -> Ints:
        """All texts that a pass over some texts of a step reads, in rising order."""
        return np.unique(np.concatenate([rows_B, *self.of(step, rows_B)]))

    def _drawn(self, step: int, row: int) -> tuple[int, int]:
        start, end = (int(ends_C[self.labels_N[row]]) for ends_C in (self.start_C, self.end_C))
        rng, n = np.random.default_rng([self.seed, step, row]), len(self.labels_N)
        same, other = (int(rng.integers(max(1, most))) for most in (end - start - 1, n - (end - start)))
        same += start + (start + same >= self.place_N[row] and end - start > 1)  # past the text itself
        other += (end - start) * (other >= start)  # past its class
        return int(self.by_class_N[same]), int(self.by_class_N[other])
