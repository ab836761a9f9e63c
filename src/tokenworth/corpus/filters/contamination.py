"""Texts of a task inside a corpus: runs of words that both have, whatever case, punctuation and Unicode form."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tokenworth.base.keywords import known_keywords
from tokenworth.corpus.engine.shard_store import read_array, read_json, write_arrays, write_json
from tokenworth.corpus.word_hashes import blocks, gram_hashes, words_of
from tokenworth.errors import SettingError
from tokenworth.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("test", "train")
"""In this order: a test text in the corpus spoils a measurement, a training text only helps."""
SHORTEST = 6
"""Words of a text that is looked for as a whole because it has fewer than n."""
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


COLUMNS = tuple(field.name for field in fields(Hit))


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
        np.bitwise_or.at(sieve, *_bits(sieve, hashes))
        return cls(words, hashes, owners, sieve)

    def perhaps(self, hashes: np.ndarray) -> np.ndarray:
        """Indices of the hashes that may be there."""
        at, bit = _bits(self.sieve, hashes)
        return np.flatnonzero(self.sieve[at] & bit)


def _bits(sieve: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the bit of each hash is: the byte, and the bit in it."""
    place = hashes >> np.uint64(64 - 3 - (len(sieve).bit_length() - 1))
    return (place >> np.uint64(3)).astype(np.int64), np.uint8(1) << (place.astype(np.uint8) & np.uint8(7))


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


@known_keywords
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

    hits = sorted(find(texts, index_of([task], n)), key=lambda hit: (SPLITS.index(hit.split), hit.document, hit.row))
    return pd.DataFrame([asdict(hit) for hit in hits], columns=list(COLUMNS))


def comparable(text: str) -> str:
    """A text as it is compared: compatible characters alike (NFKC), without those that show nothing."""
    if text.isascii():
        return text
    bare = _INVISIBLE.sub("", text)
    return bare if unicodedata.is_normalized("NFKC", bare) else unicodedata.normalize("NFKC", bare)


def index_of(tasks: Sequence[Task], n: int = 13, *, forms: Sequence[Callable[[str], str]] = ()) -> TaskIndex:
    """Runs of the texts of tasks, which are looked for as they are and as each of `forms` makes them.

    Forms are what documents go through before they are looked at.  SettingError: a run has no word (n < 1).
    """
    if n < 1:
        raise SettingError(f"n = {n}: give the words of a run, such as 13")
    parts = [(task.name, split, getattr(task, split).texts) for task in tasks for split in SPLITS]
    owner = tuple((name, split, row) for name, split, texts in parts for row in range(len(texts)))
    texts = [text for _, _, texts in parts for text in texts]
    by_length: _Parts = defaultdict(list)
    total = _add_runs(by_length, dict(enumerate(map(comparable, texts))), len(texts), n)
    for form in forms:
        changed = {i: comparable(after) for i, text in enumerate(texts) if (after := form(text)) != text}
        total = np.maximum(total, _add_runs(by_length, changed, len(texts), n))
    runs = []
    for length, pieces in sorted(by_length.items()):
        hashes, owners = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        order = np.argsort(hashes, kind="stable")
        runs.append(Runs.of(length, hashes[order], owners[order]))
    return TaskIndex(tuple(runs), owner, total)


_Parts = dict[int, list[tuple[np.ndarray, np.ndarray]]]
"""By length of a run: hashes and the texts they are of."""


def _add_runs(by_length: _Parts, texts: Mapping[int, str], count: int, n: int) -> np.ndarray:
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
            by_length[length].append((hashes[keep], owners))
            total += np.bincount(owners, minlength=count)
    return total


def find(texts: Sequence[str], index: TaskIndex) -> Iterator[Hit]:
    """Hits of documents in order, block by block."""
    for part in blocks(texts):
        compared = [comparable(text) for text in texts[part]]
        words = words_of(compared)
        text_of = words.text_of()
        for runs in index.runs:
            hashes, at = gram_hashes(words, runs.words)
            perhaps = runs.perhaps(hashes)
            hashes, at = hashes[perhaps], at[perhaps]
            low, high = (np.searchsorted(runs.hashes, hashes, side) for side in ("left", "right"))
            pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
            for i in np.flatnonzero(high > low):
                for owner in np.unique(runs.owners[low[i] : high[i]]):
                    pairs[int(text_of[at[i]]), int(owner)].append(int(words.starts[at[i]]))
            for (document, owner), starts in pairs.items():
                share = min(1.0, len(starts) / int(index.total[owner]))
                excerpt = compared[document][starts[0] : starts[0] + _EXCERPT]
                place = part.start + document
                yield Hit(place, *index.owner[owner], runs.words, len(starts), share, starts[0], excerpt)


def look(texts: Sequence[str], index: TaskIndex) -> dict[int, list[Hit]]:
    """Hits by document, those of test splits first."""
    hits_of: dict[int, list[Hit]] = defaultdict(list)
    for hit in find(texts, index):
        hits_of[hit.document].append(hit)
    for hits in hits_of.values():
        hits.sort(key=lambda hit: (hit.split != "test", hit.task, hit.row))
    return dict(hits_of)


def save_index(path: Path, index: TaskIndex) -> None:
    """What to look for as one folder, made once and loaded once by every worker."""
    arrays = {f"hashes-{runs.words}": runs.hashes for runs in index.runs}
    arrays |= {f"owners-{runs.words}": runs.owners for runs in index.runs}
    write_arrays(path, {**arrays, "total": index.total, "lengths": np.array([runs.words for runs in index.runs])})
    write_json(path / "owner.json", index.owner)


@lru_cache(maxsize=2)
def load_index(path: str) -> TaskIndex:
    """What `save_index` wrote."""
    place = Path(path)
    lengths = read_array(place, "lengths").tolist()
    runs = (Runs.of(n, read_array(place, f"hashes-{n}"), read_array(place, f"owners-{n}")) for n in map(int, lengths))
    owner = tuple((str(task), str(split), int(row)) for task, split, row in read_json(place / "owner.json"))
    return TaskIndex(tuple(runs), owner, read_array(place, "total"))
