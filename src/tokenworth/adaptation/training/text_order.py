"""Which texts a step sees: a pure function of seed and step, so that a run goes on exactly where it stopped."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tokenworth.base.aliases import Ints


class Order:
    """Endless passes over N texts, each in a new random order; a step takes the next `batch` of them.

    Every text is seen once in every pass, whatever its length: batches are not sorted, so the sampling is that of
    plain stochastic gradient descent without replacement.
    """

    def __init__(self, n_texts: int, batch: int, seed: int) -> None:
        self.n_texts, self.batch, self.seed = n_texts, batch, seed
        self._pass = lru_cache(maxsize=2)(self._permutation)

    def rows(self, step: int) -> Ints:
        """The texts of a step, counted from 0: (batch,), or all of them where there are fewer."""
        size = min(self.batch, self.n_texts)
        places = np.arange(step * size, (step + 1) * size)
        return np.array([self._pass(int(place) // self.n_texts)[place % self.n_texts] for place in places])

    def _permutation(self, number: int) -> Ints:
        return np.random.default_rng([self.seed, number]).permutation(self.n_texts)


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """The rate of a step counted from 0: linear from 0 to the peak over the warm-up, then half a cosine down to 0.

    A function of the optimiser's step alone: several processes cannot advance it twice.
    """
    warmup = int(warmup_share * steps)
    if step < warmup:
        return peak * step / max(1, warmup)
    return float(peak * 0.5 * (1 + np.cos(np.pi * (step - warmup) / max(1, steps - warmup))))
