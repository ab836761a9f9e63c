"""How much of each source goes into the output, which documents those are, and in what order they stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenworth.corpus.corpus_settings import Mix, Source


@dataclass(frozen=True, slots=True)
class Shares:
    """Bytes wanted of each source, and sentences about what could not be had."""

    bytes: Mapping[str, float]
    notes: tuple[str, ...]


def shares(
    available: Mapping[str, int], sources: Sequence[Source], mix: Mix, parts: Mapping[str, float] | None = None
) -> Shares:
    """Bytes of each source.

    With weights w, the total T is the largest with w T <= repeats * available for every source, or what `total_mb`
    asks for.  Without weights every source is taken whole, `repeats` times, all cut alike to `total_mb`.  A source of
    which a part only is allowed has its weight, or its bytes, cut to that part; the others share what it leaves.

    Args:
        available: bytes there are of each source.
        sources: those of the corpus file.
        mix: what is wanted.
        parts: in [0, 1], of sources that are not to be used whole.
    """
    most = {source.name: available[source.name] * source.repeats for source in sources}
    parts = parts or {}
    wanted = None if mix.total_mb is None else mix.total_mb * 1e6
    if any(source.weight is not None for source in sources):
        weights = {source.name: (source.weight or 0.0) * parts.get(source.name, 1.0) for source in sources}
        return _weighted(most, weights, wanted)
    most = {name: size * parts.get(name, 1.0) for name, size in most.items()}
    most = _capped(most, sources, mix.max_synthetic)
    total = sum(most.values())
    scale = 1.0 if wanted is None or total == 0 else min(1.0, wanted / total)
    notes = _short(total, wanted, "all sources together")
    return Shares({name: size * scale for name, size in most.items()}, notes)


def _weighted(most: Mapping[str, float], weights: Mapping[str, float], wanted: float | None) -> Shares:
    whole = sum(weights.values())
    weights = {name: weight / whole for name, weight in weights.items()} if whole else weights
    reach = {name: most[name] / weight for name, weight in weights.items() if weight}
    if not reach:
        return Shares(dict.fromkeys(weights, 0.0), ())
    scarcest = min(reach, key=lambda name: reach[name])
    total = reach[scarcest] if wanted is None else min(wanted, reach[scarcest])
    notes = _short(total, wanted, f"source {scarcest}")
    return Shares({name: weight * total for name, weight in weights.items()}, notes)


def _short(total: float, wanted: float | None, who: str) -> tuple[str, ...]:
    """A sentence where less can be had than is wanted."""
    if wanted is None or total >= wanted:
        return ()
    sentence = f"{wanted / 1e6:,.1f} MB were wanted, but {who} allows {total / 1e6:,.1f} MB only"
    return (f"{sentence}; add documents, or raise repeats",)


def _capped(most: Mapping[str, float], sources: Sequence[Source], cap: float | None) -> dict[str, float]:
    """Synthetic sources cut alike until they are no more than their share: f S = cap / (1 - cap) * rest."""
    names = {source.name for source in sources if source.synthetic}
    synthetic = sum(size for name, size in most.items() if name in names)
    rest = sum(most.values()) - synthetic
    if cap is None or synthetic == 0 or synthetic <= cap * (synthetic + rest):
        return dict(most)
    factor = cap * rest / ((1 - cap) * synthetic)
    return {name: size * (factor if name in names else 1) for name, size in most.items()}


def copies(sizes: np.ndarray, wanted: float, seed: Sequence[int]) -> np.ndarray:
    """(N,) how often each document is taken so that their bytes come to what is wanted: whole passes, then a sample.

    The (N,) sizes are bytes; what is wanted is met to within half of one document where there is enough.
    """
    total = int(sizes.sum())
    if total == 0:
        return np.zeros(len(sizes), np.int64)
    passes, rest = divmod(wanted, total)
    times = np.full(len(sizes), int(passes))
    order = np.random.default_rng(list(seed)).permutation(len(sizes))
    reached = np.cumsum(sizes[order])
    middle = reached - sizes[order] / 2
    times[order[middle <= rest]] += 1
    return times
