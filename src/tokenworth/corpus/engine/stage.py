"""What a stage is: documents in, documents out, every one dropped or changed written into the ledger under a reason.

A stage is its settings, a frozen dataclass.  A `ShardStage` needs nothing but a shard's documents; a `CorpusStage`
takes a few numbers of every document, decides once it has them of all shards, and only then goes over the shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tokenworth.corpus.document import Document, Ledger
from tokenworth.settings import Settings, exists

FILLED_IN = ("index", "fingerprint")
"""Fields of stages that the build fills in; a corpus file does not have them."""


def beside(home: Path, name: str) -> str:
    """A path seen from the corpus file's folder where there is such a thing, else the name; `@random` may follow."""
    base, mark, _ = name.partition("@random")
    return str(home / base) + mark if exists(home / base) else name


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a stage may use before documents go through it."""

    root: Path
    """The work folder of the build."""
    notes: list[str]
    """Sentences for the report are added to it."""
    ways: Sequence[Sequence[Stage]] = ()
    """Stages that change texts and that documents went through before, by source where these differ."""


class Stage(Settings):
    """What all stages are."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str]
    changes_texts: ClassVar[bool] = False
    """Whether documents come out with other texts, as `form_of` says of one text."""
    found_by_path: ClassVar[tuple[str, ...]] = ()
    """Settings (a name or several) of things that may lie beside the corpus file."""

    def placed(self, home: Path) -> Stage:
        """The stage with full paths of what lies in the corpus file's folder; other names stay as they are."""
        changes: dict[str, Any] = {}
        for setting in self.found_by_path:
            value = getattr(self, setting)
            several = isinstance(value, tuple)
            changes[setting] = tuple(beside(home, name) for name in value) if several else beside(home, value)
        return replace(self, **changes)

    def prepare(self, work: Preparation) -> Stage:  # noqa: ARG002 - most stages need nothing
        """The stage as it can be run: it knows its tasks' texts, or the contents of its model.

        Raises TaskError, BackboneError, SettingError: a task, a model or a recogniser of names cannot be had.
        """
        return self

    def facts(self) -> dict[str, Any]:
        """What its documents depend on, as plain data: an index and a model by what is in them, not where they lie."""
        return {"stage": self.name, **asdict(self)}

    def form_of(self, text: str) -> str:
        """A text as a document with it would be after this stage."""
        return text


class ShardStage(Stage):
    """A stage that looks at the documents of one shard."""

    __slots__ = ()

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """The documents that go on."""
        after = (self.applied(document, ledger) for document in documents)
        return [document for document in after if document is not None]

    def applied(self, document: Document, ledger: Ledger) -> Document | None:
        """A document as it goes on, or None."""
        raise NotImplementedError


class CorpusStage(Stage):
    """A stage that must have seen every document before it can drop one."""

    __slots__ = ()
    seen_by: ClassVar[tuple[str, ...]] = ()
    """Settings that `observe` depends on; the others are of the decision alone."""

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """What it remembers of a shard."""
        raise NotImplementedError

    def decide(self, seen: Sequence[Path]) -> np.ndarray:
        """(N,) cluster of every document of all shards in order: the number of its first member, which stays.

        `seen` are folders of what `observe` gave, one a shard.
        """
        raise NotImplementedError

    def facts_seen(self) -> dict[str, Any]:
        """What `observe` depends on, as `facts`."""
        return {name: value for name, value in self.facts().items() if name in ("stage", *self.seen_by)}


class ModelStage(Stage):
    """A stage with a `model`, known by its contents (`fingerprint`) once it is prepared."""

    __slots__ = ()
    found_by_path: ClassVar[tuple[str, ...]] = ("model",)
    model: str
    fingerprint: str

    def prepare(self, work: Preparation) -> Stage:  # noqa: ARG002
        """With the fingerprint of its model."""
        from tokenworth.backbones.loading.loader import identity

        return replace(self, fingerprint=identity(self.model))

    def facts(self) -> dict[str, Any]:
        """Without the place of a model whose contents are known."""
        values = super().facts()
        if self.fingerprint:
            del values["model"]
        return values
