"""Texts of a task inside a corpus: runs of words that both have, whatever case, punctuation and Unicode form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenworth.corpus.word_hashes import blocks, gram_hashes, words_of
from tokenworth.errors import SettingError
from tokenworth.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("test", "train")
"""In this order: a test text in the corpus spoils a measurement, a training text only helps."""
SHORTEST = 6
"""Words of a text that is looked for as a whole because it has fewer than n."""
COLUMNS = ("document", "task", "split", "row", "words", "matches", "share", "start", "excerpt")
_EXCERPT = 160
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


@dataclass(frozen=True, slots=True)
class Hit:
    """A text of a task that shares runs of words with a document."""

    document: int
    task: str
    split: str
    row: int
    """Of the task's text in its split."""
    words: int
    """Words of a run: n, or all of a text that has fewer."""
    matches: int
    """Runs they share, as they stand in the document."""
    share: float
    """Of the text's runs."""
    start: int
    """Characters before the first shared run in the document, in the form it is compared in (`comparable`)."""
    excerpt: str
    """The document from there on."""


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """Runs of one length of all texts, sorted by hash."""

    words: int
    hashes: np.ndarray
    owners: np.ndarray
    sieve: np.ndarray
    """A bit for every 1/16 of a run: most hashes that are not there are told by one look."""

    @classmethod
    def of(cls, words: int, hashes: np.ndarray, owners: np.ndarray) -> Runs:
        """From hashes that are sorted already."""
        sieve = np.zeros(1 << max(7, (2 * len(hashes)).bit_length()), dtype=np.uint8)
        place = hashes >> _shift(sieve)
        np.bitwise_or.at(sieve, (place >> np.uint64(3)).astype(np.int64), _bit(place))
        return cls(words, hashes, owners, sieve)

    def perhaps(self, hashes: np.ndarray) -> np.ndarray:
        """Indices of the hashes that may be there."""
        place = hashes >> _shift(self.sieve)
        return np.flatnonzero(self.sieve[(place >> np.uint64(3)).astype(np.int64)] & _bit(place))


def _shift(sieve: np.ndarray) -> np.uint64:
    return np.uint64(64 - 3 - (len(sieve).bit_length() - 1))


def _bit(place: np.ndarray) -> np.ndarray:
    return np.uint8(1) << (place.astype(np.uint8) & np.uint8(7))


@dataclass(frozen=True, eq=False, slots=True)
class TaskIndex:
    """What to look for."""

    runs: tuple[Runs, ...]
    owner: tuple[tuple[str, str, int], ...]
    """Task, split and row of each text."""
    total: np.ndarray
    """Runs of each text; 0 for those too short to look for."""

    @property
    def too_short(self) -> int:
        """Texts of fewer than SHORTEST words."""
        return int((self.total == 0).sum())


def contamination(texts: Sequence[str], task: Task, n: int = 13) -> pd.DataFrame:
    """Texts of a task that share a run of n words with a document; one row a hit, test split first.

    Words are compared in lower case without punctuation, in one Unicode form (`comparable`).  A text of fewer than n
    words is looked for as a whole if it has at least six; `words` says how long the runs were.

    Args:
        texts: documents.
        task: what should not be in them.
        n: words of a run.

    Returns:
        Columns document (index into texts), task, split, row (of the text in its split), words, matches (runs shared),
        share (of the task text's runs), start (characters) and excerpt (of the document).

    Raises:
        SettingError: n < 1.
    """
    import pandas as pd

    hits = list(find(texts, index_of([task], n)))
    hits.sort(key=lambda hit: (SPLITS.index(hit.split), hit.document, hit.row))
    return pd.DataFrame([{name: getattr(hit, name) for name in COLUMNS} for hit in hits], columns=list(COLUMNS))


def comparable(text: str) -> str:
    """A text as it is compared: compatible characters alike (NFKC), without those that show nothing."""
    if text.isascii():
        return text
    bare = _INVISIBLE.sub("", text)
    return bare if unicodedata.is_normalized("NFKC", bare) else unicodedata.normalize("NFKC", bare)


def index_of(
    tasks: Sequence[Task],
    n: int = 13,
    splits: Sequence[str] = SPLITS,
    forms: Sequence[Callable[[str], str]] = (),
) -> TaskIndex:
    """Runs of the texts of tasks.

    Args:
        tasks: whose texts to look for.
        n: words of a run.
        splits: parts of the tasks.
        forms: what documents went through before they are looked at; texts are looked for as they are and as each of
            these makes them.

    Raises:
        SettingError: n < 1.
    """
    if n < 1:
        raise SettingError(f"n = {n}: give the words of a run, such as 13")
    owner = [
        (task.name, split, row) for task in tasks for split in splits for row in range(len(getattr(task, split).texts))
    ]
    texts = [text for task in tasks for split in splits for text in getattr(task, split).texts]
    parts: _Parts = {}
    total = _add_runs(parts, dict(enumerate(map(comparable, texts))), len(texts), n)
    for form in forms:
        changed = {i: own for i, text in enumerate(texts) if (own := form(text)) != text}
        total = np.maximum(total, _add_runs(parts, {i: comparable(own) for i, own in changed.items()}, len(texts), n))
    return TaskIndex(tuple(_sorted(length, own) for length, own in sorted(parts.items())), tuple(owner), total)


_Parts = dict[int, list[tuple[np.ndarray, np.ndarray]]]
"""By length of a run: hashes and the texts they are of."""


def _add_runs(parts: _Parts, texts: Mapping[int, str], count: int, n: int) -> np.ndarray:
    """Adds the runs of some of `count` texts; returns (count,) how many each has."""
    places, values = np.array([*texts], dtype=np.int64), [*texts.values()]
    total = np.zeros(count, dtype=np.int64)
    for part in blocks(values):
        words = words_of(values[part])
        lengths = np.minimum(np.diff(words.first), n)
        for length in sorted(set(lengths[lengths >= min(SHORTEST, n)].tolist())):
            hashes, at = gram_hashes(words, length)
            text = words.text_of()[at]
            keep = lengths[text] == length
            owners = places[text[keep] + part.start]
            parts.setdefault(length, []).append((hashes[keep], owners))
            total += np.bincount(owners, minlength=count)
    return total


def _sorted(length: int, parts: list[tuple[np.ndarray, np.ndarray]]) -> Runs:
    hashes = np.concatenate([one for one, _ in parts])
    owners = np.concatenate([one for _, one in parts])
    order = np.argsort(hashes, kind="stable")
    return Runs.of(length, hashes[order], owners[order])


def find(texts: Sequence[str], index: TaskIndex) -> Iterator[Hit]:
    """Hits of documents in order, block by block."""
    for part in blocks(texts):
        own = [comparable(text) for text in texts[part]]
        words = words_of(own)
        text_of = words.text_of()
        for runs in index.runs:
            hashes, at = gram_hashes(words, runs.words)
            perhaps = runs.perhaps(hashes)
            hashes, at = hashes[perhaps], at[perhaps]
            low, high = (np.searchsorted(runs.hashes, hashes, side) for side in ("left", "right"))
            found = np.flatnonzero(high > low)
            pairs: dict[tuple[int, int], list[int]] = {}
            for i in found:
                for owner in np.unique(runs.owners[low[i] : high[i]]):
                    pairs.setdefault((int(text_of[at[i]]), int(owner)), []).append(int(words.starts[at[i]]))
            for (document, owner), starts in pairs.items():
                yield _hit(index, runs.words, part.start + document, owner, starts, own[document])


def _hit(index: TaskIndex, words: int, document: int, owner: int, starts: list[int], text: str) -> Hit:
    task, split, row = index.owner[owner]
    share = min(1.0, len(starts) / int(index.total[owner]))
    return Hit(document, task, split, row, words, len(starts), share, starts[0], text[starts[0] : starts[0] + _EXCERPT])
