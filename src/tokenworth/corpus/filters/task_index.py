"""What decontamination looks for, as files: made once of the tasks, loaded once by every worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from tokenworth.corpus.engine.shard_store import read_array, read_json, write_arrays, write_json
from tokenworth.corpus.filters.contamination import Hit, Runs, TaskIndex, find


def save_index(path: Path, index: TaskIndex) -> None:
    """One folder."""
    arrays = {f"hashes-{one.words}": one.hashes for one in index.runs}
    arrays |= {f"owners-{one.words}": one.owners for one in index.runs}
    write_arrays(path, {**arrays, "total": index.total, "lengths": np.array([one.words for one in index.runs])})
    write_json(path / "owner.json", index.owner)


@lru_cache(maxsize=2)
def load_index(path: str) -> TaskIndex:
    """What `save_index` wrote."""
    place = Path(path)
    lengths = [int(one) for one in read_array(place, "lengths")]
    runs = (Runs.of(one, read_array(place, f"hashes-{one}"), read_array(place, f"owners-{one}")) for one in lengths)
    owner = tuple((str(task), str(split), int(row)) for task, split, row in read_json(place / "owner.json"))
    return TaskIndex(tuple(runs), owner, read_array(place, "total"))


def look(texts: Sequence[str], index: TaskIndex) -> dict[int, list[Hit]]:
    """Hits by document, those of test splits first."""
    found: dict[int, list[Hit]] = defaultdict(list)
    for hit in find(texts, index):
        found[hit.document].append(hit)
    for hits in found.values():
        hits.sort(key=lambda hit: (hit.split != "test", hit.task, hit.row))
    return dict(found)
