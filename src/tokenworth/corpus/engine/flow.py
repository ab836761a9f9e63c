"""Where the documents of a build are: shards, keys, and what every stage did to them so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenworth.base.aliases import Progress
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.document import Ledger
from tokenworth.corpus.engine.engines import Engine
from tokenworth.corpus.engine.shard_store import Shard
from tokenworth.corpus.readers.sources import Part


@dataclass(slots=True)
class Flow:
    """Where the documents are: for each part its shards and the key of the last stage they went through."""

    corpus: Corpus
    root: Path
    parts: list[Part]
    engine: Engine
    progress: Progress
    shards: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    history: list[tuple[str, list[str]]] = field(default_factory=list)
    """Stages so far, each with the keys behind it."""
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def members(self, stage: Any = None) -> list[int]:
        """Parts that go through a stage."""
        return [i for i, part in enumerate(self.parts) if stage is None or stage.name not in part.source.skip]

    def shards_of(self, part: int, key: str | None = None) -> list[Shard]:
        """Shards of a part as they are now, or after the stage with the key."""
        return [Shard(self.root, key or self.keys[part], number) for number in range(self.shards[part])]

    def run(self, what: str, function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """All jobs, with progress."""
        results = []
        for done, result in enumerate(self.engine.map(function, jobs), 1):
            results.append(result)
            self.progress(what, done, len(jobs))
        return results

    def passed(self, name: str) -> None:
        """A stage is behind all documents."""
        self.history.append((name, list(self.keys)))


def ledgers(flow: Flow) -> list[tuple[str, dict[str, Ledger]]]:
    """For each stage so far, what it did to each source."""
    found = []
    before: list[str] = [""] * len(flow.parts)
    for name, keys in flow.history:
        own: dict[str, Ledger] = {}
        for i, part in enumerate(flow.parts):
            if keys[i] == before[i]:
                continue  # its source skips the stage
            total = own.setdefault(part.source.name, Ledger())
            for shard in flow.shards_of(i, keys[i]):
                total.add(shard.ledger())
        found.append((name, own))
        before = keys
    return found
