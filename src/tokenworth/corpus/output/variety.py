"""How varied the text that models wrote is beside the text that people wrote, and how much of it that allows.

Both are read as equally many pieces of 100 words, because every measure of variety moves with the amount of text and
with the length of documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.diversity import diversity
from tokenworth.corpus.engine.pipeline import Flow
from tokenworth.corpus.engine.shard_store import WORK, Shard, read_json, write_json

PIECE_WORDS = 100
MOST_PIECES = 1000
FEWEST_PIECES = 20
_BLEU_PIECES = 50
_BYTES = 1_500_000  # of documents that are read: more than a thousand pieces in most languages
REAL = "all real sources"


class Variety(NamedTuple):
    """Measures of one source beside those of the real ones."""

    source: str
    distinct_2: float
    distinct_4: float
    self_bleu: float
    compression: float
    ratio: float | None
    """The least of three: distinct-4, 1 - self-BLEU and 1 / compression, each over that of real text; 1 is as varied.
    None for the real sources themselves."""


def varieties(texts: Mapping[str, Sequence[str]], sources: Sequence[Source]) -> list[Variety]:
    """Variety of the real sources together, then of each synthetic one.

    A source too short for 20 pieces is left out: it tells nothing.

    Args:
        texts: sampled documents of each synthetic source by name, and those of the real ones under `REAL`.
        sources: of the corpus file.
    """
    real = pieces(texts.get(REAL, ()))
    rows: list[Variety] = []
    for source in sources:
        synthetic = pieces(texts[source.name]) if source.synthetic else []
        size = min(len(synthetic), len(real))
        if size < FEWEST_PIECES:
            continue
        reference = diversity(real[:size], sample=_BLEU_PIECES)
        rows += [] if rows else [_variety(REAL, reference, None)]
        rows.append(_variety(source.name, diversity(synthetic[:size], sample=_BLEU_PIECES), reference))
    return rows


def _variety(name: str, of_source: Mapping[str, float], real: Mapping[str, float] | None) -> Variety:
    measures = {key: of_source[key] for key in ("distinct_2", "distinct_4", "self_bleu", "compression")}
    if real is None:
        return Variety(name, **measures, ratio=None)
    ratios = (
        of_source["distinct_4"] / max(real["distinct_4"], 1e-9),
        (1 - of_source["self_bleu"]) / max(1 - real["self_bleu"], 1e-9),
        real["compression"] / max(of_source["compression"], 1e-9),
    )
    return Variety(name, **measures, ratio=min(ratios))


def pieces(texts: Sequence[str]) -> list[str]:
    """Up to 1,000 runs of 100 words of texts laid end to end; the rest at the end is left out."""
    words: list[str] = []
    for text in texts:
        words += text.split()
        if len(words) >= MOST_PIECES * PIECE_WORDS:
            break
    ends = range(PIECE_WORDS, min(len(words), MOST_PIECES * PIECE_WORDS) + 1, PIECE_WORDS)
    return [" ".join(words[end - PIECE_WORDS : end]) for end in ends]


def allowed(rows: Sequence[Variety], least: float | None) -> tuple[dict[str, float], list[str]]:
    """What part of each source may be used, in [0, 1], and a sentence for each that is cut.

    A source at or above the limit is used whole; below it, ratio / limit of it; below half of it, nothing.
    """
    parts: dict[str, float] = {}
    notes = []
    for row in rows:
        if least is None or row.ratio is None or row.ratio >= least:
            continue
        share = row.ratio / least
        parts[row.source] = share if share >= 0.5 else 0.0
        taken = f"{share:.0%} of what it would give is taken" if parts[row.source] else "nothing of it is taken"
        notes.append(
            f"source {row.source} has {row.ratio:.2f} of the variety of real text, below the {least:g} of "
            f"least_variety: {taken}"
        )
    return parts, notes


def measured_variety(
    flow: Flow, shards: Sequence[Shard], owners: Sequence[str], sizes: Sequence[np.ndarray]
) -> list[Variety]:
    """`varieties` of the sources of a build, kept in its work folder; none where nothing is synthetic, or everything.

    Of each shard (all of them, behind all stages) are given the source, and the (N,) bytes of its documents.
    """
    corpus = flow.corpus
    groups = {source.name: source.name if source.synthetic else REAL for source in corpus.sources}
    if len({source.synthetic for source in corpus.sources}) < 2:
        return []
    path = flow.root / f"variety-{content_key(['variety', 1, groups, corpus.seed, flow.keys])}.json"

    def measure(_folder: Path) -> None:
        texts = {}
        for number, group in enumerate(dict.fromkeys(groups.values())):
            members = [i for i, name in enumerate(owners) if groups[name] == group]
            texts[group] = _sample([shards[i] for i in members], [sizes[i] for i in members], (corpus.seed, 2, number))
        write_json(path, [row._asdict() for row in varieties(texts, corpus.sources)])

    WORK.once(path, measure)
    return [Variety(**row) for row in read_json(path)]


def _sample(shards: Sequence[Shard], sizes: Sequence[np.ndarray], seed: Sequence[int]) -> list[str]:
    """About 1.5 MB of documents drawn from shards, in a seeded order; only shards that hold some are read."""
    every = np.concatenate([np.zeros(0, np.int64), *sizes])
    order = np.random.default_rng(list(seed)).permutation(len(every))
    chosen = order[: int(np.searchsorted(np.cumsum(every[order]), _BYTES)) + 1]
    ends = np.cumsum([0, *map(len, sizes)])
    shard_of = np.searchsorted(ends, chosen, side="right") - 1
    texts: dict[int, str] = {}
    for number in np.unique(shard_of).tolist():
        documents = shards[number].read()
        texts |= {row: documents[row - ends[number]].text for row in chosen[shard_of == number].tolist()}
    return [texts[row] for row in chosen.tolist()]
