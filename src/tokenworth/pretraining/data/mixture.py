"""Which sequences a step sees: a pure function of settings, seed and step.

A source's shards are cut into sequences of `context` tokens and the one that follows; they are seen in a new random
order in every pass.  Which source each of a run's sequences comes from is drawn by weight, in the annealing phase by
the annealing weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tokenworth.errors import PretrainError
from tokenworth.pretraining.data.token_shards import Ints
from tokenworth.pretraining.pretraining_settings import TrainingConfig
from tokenworth.tokenizers.source_settings import SourceConfig


class Sequences(NamedTuple):
    """B sequences of T tokens."""

    ids_BT: Tensor
    targets_BT: Tensor
    """The token that follows each."""
    documents_BT: Tensor
    """Number of the document each stands in, counted within the sequence."""


class Blocks:
    """A source cut into sequences."""

    def __init__(self, name: str, tokens: list[Ints], starts: list[Ints], context: int, seed: int) -> None:
        self.tokens, self.starts, self.context, self.seed = tokens, starts, context, [seed, *name.encode()]
        self.counts = [(len(shard) - 1) // context for shard in tokens]
        self.ends, self.n_blocks = np.cumsum(self.counts), sum(self.counts)
        self._pass = lru_cache(maxsize=2)(self._permutation)

    def __len__(self) -> int:
        return self.n_blocks

    def drawn(self, place: int) -> tuple[Ints, Ints]:
        """The sequence at a place of the endless stream of passes: (T + 1,) tokens and documents."""
        return self.read(int(self._pass(place // self.n_blocks)[place % self.n_blocks]))

    def read(self, block: int) -> tuple[Ints, Ints]:
        """A sequence by its number in the source."""
        shard = int(np.searchsorted(self.ends, block, side="right"))
        begin = (block - int(self.ends[shard]) + self.counts[shard]) * self.context
        places = np.arange(begin, begin + self.context + 1)
        documents = np.searchsorted(self.starts[shard], places, side="right")
        return np.asarray(self.tokens[shard][begin : begin + self.context + 1], dtype=np.int64), documents

    def _permutation(self, number: int) -> Ints:
        return np.random.default_rng([*self.seed, number]).permutation(self.n_blocks)


class Mixture:
    """The sequences of a whole run, source by source."""

    def __init__(
        self, blocks: Mapping[str, Blocks], sources: Mapping[str, SourceConfig], config: TrainingConfig, seed: int
    ) -> None:
        self.blocks, self.config, self.names = blocks, config, list(blocks)
        for name, sequences in blocks.items():
            if not len(sequences) and sources[name].weight > 0:
                raise PretrainError(
                    f"the source {name} is shorter than one sequence of {config.context} tokens; shorten the context, "
                    "bring more text, or leave the source out"
                )
        if (total := sum(map(len, blocks.values()))) < config.batch:
            raise PretrainError(
                f"all sources together make {total:,} sequences of {config.context} tokens, less than one batch of "
                f"{config.batch}; bring more text, or lower batch or context"
            )
        self.source_Q = self._sources(sources, seed)
        self.place_Q = np.empty(len(self.source_Q), dtype=np.int64)  # the how-manieth sequence of its source each is
        for source in range(len(self.names)):
            drawn_Q = self.source_Q == source
            self.place_Q[drawn_Q] = np.arange(int(drawn_Q.sum()))

    def step(self, number: int) -> list[tuple[int, int]]:
        """(source, place) of the sequences of a step."""
        q = slice(number * self.config.batch, (number + 1) * self.config.batch)
        return list(zip(self.source_Q[q].tolist(), self.place_Q[q].tolist(), strict=True))

    def read(self, chosen: list[tuple[int, int]]) -> Sequences:
        """The sequences themselves: windows of T + 1 tokens as inputs and what follows them."""
        windows = [self.blocks[self.names[source]].drawn(place) for source, place in chosen]
        tokens, documents = (torch.from_numpy(np.stack(parts)) for parts in zip(*windows, strict=True))
        return Sequences(tokens[:, :-1], tokens[:, 1:], documents[:, :-1])

    def passes(self) -> dict[str, float]:
        """How often each source is seen in the whole run."""
        counts = np.bincount(self.source_Q, minlength=len(self.names))
        return {
            name: float(count) / max(1, len(self.blocks[name])) for name, count in zip(self.names, counts, strict=True)
        }

    def _sources(self, sources: Mapping[str, SourceConfig], seed: int) -> Ints:
        n = self.config.steps * self.config.batch
        annealed = round(self.config.annealing_share * n)
        chosen = [sources[name] for name in self.names]
        before = np.array([source.weight for source in chosen])
        later = [source.annealing_weight for source in chosen]
        after = np.array([w if other is None else other for w, other in zip(before, later, strict=True)])
        rng = np.random.default_rng([seed, 1])
        phases = ((n - annealed, before), (annealed, after))
        return np.concatenate([rng.choice(len(w), size, p=w / w.sum()) for size, w in phases]).astype(np.int16)
