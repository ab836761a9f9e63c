"""The one record that flows, and the ledger in which every loss and every change has a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tokenworth.base.codec import ELSEWHERE
from tokenworth.base.schema import restore, shape_of

SAMPLES = 3
"""Dropped or changed documents a reason keeps for the report, of each shard and in all."""
SAMPLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Document:
    """A text on its way to becoming tokens."""

    text: str
    """What it says."""
    id: str
    """Where it came from, such as `wiki/articles.jsonl:17`; unique within a corpus."""
    source: str
    """Name of its source in the corpus file."""
    kind: str = "text"
    """What the text is: text, html, latex or code.  Extraction makes text of html and latex."""

    @property
    def size(self) -> int:
        """Bytes of UTF-8."""
        return len(self.text) if self.text.isascii() else len(self.text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Amount:
    """Documents and their bytes."""

    documents: int = 0
    """How many."""
    bytes: int = 0
    """Of their texts in UTF-8."""

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.documents + other.documents, self.bytes + other.bytes)

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Amount:
        """How much some documents are."""
        return cls(len(documents), sum(document.size for document in documents))


@dataclass(slots=True)
class Ledger:
    """What one stage did to one shard, or to many: ledgers add up in any order but that of the samples."""

    taken: Amount = field(default_factory=Amount)
    """What the stage was given to work on."""
    given: Amount = field(default_factory=Amount)
    """What it handed on: what was taken without what was dropped, after its changes."""
    dropped: dict[str, Amount] = field(default_factory=dict)
    """By reason."""
    changed: dict[str, Amount] = field(default_factory=dict)
    """By reason; one document may be changed for several.  Bytes are those before the change."""
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Counts a stage makes on the way, by name: languages, lengths, personal data by type, ..."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what could not be read."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """what (dropped or changed), reason, id, source, before and after, shortened."""
    aside: list[tuple[Document, str]] | None = field(default=None, metadata=ELSEWHERE)
    """Where they are wanted, the dropped documents themselves, each with the reason."""

    @classmethod
    def total(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """What several ledgers counted together."""
        total = cls()
        for ledger in ledgers:
            total.add(ledger)
        return total

    def drop(self, document: Document, reason: str) -> None:
        """A document goes no further."""
        if self.aside is not None:
            self.aside.append((document, reason))
        self._note(self.dropped, "dropped", reason, document, "")

    def change(self, before: Document, after: str, reason: str) -> None:
        """A document goes on with another text."""
        self._note(self.changed, "changed", reason, before, after)

    def count(self, fact: str, name: str, number: int = 1) -> None:
        """Add to a named count."""
        counts = self.facts.setdefault(fact, {})
        counts[name] = counts.get(name, 0) + number

    def _note(self, amounts: dict[str, Amount], what: str, reason: str, document: Document, after: str) -> None:
        amounts[reason] = amounts.get(reason, Amount()) + Amount(1, document.size)
        if self._wants_sample(what, reason):
            before, after = _around_change(document.text, after)
            place = {"id": document.id, "source": document.source}
            self.samples.append({"what": what, "reason": reason, **place, "before": before, "after": after})

    def _wants_sample(self, what: str, reason: str) -> bool:
        return sum(sample["reason"] == reason and sample["what"] == what for sample in self.samples) < SAMPLES

    def add(self, other: Ledger) -> None:
        """Take over what another ledger counted."""
        self.taken, self.given = self.taken + other.taken, self.given + other.given
        for mine, theirs in ((self.dropped, other.dropped), (self.changed, other.changed)):
            for reason, amount in theirs.items():
                mine[reason] = mine.get(reason, Amount()) + amount
        for fact, counts in other.facts.items():
            for name, number in counts.items():
                self.count(fact, name, number)
        self.notes += other.notes
        for sample in other.samples:
            self.samples += [sample] if self._wants_sample(sample["what"], sample["reason"]) else []

    def as_json(self) -> dict[str, Any]:
        """Plain data, without the documents set aside."""
        content = asdict(replace(self, aside=None))
        del content["aside"]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ledger:
        """What `as_json` gave."""
        ledger: Ledger = restore(content, shape_of(cls))
        return ledger


def _around_change(before: str, after: str) -> tuple[str, str]:
    """Both texts from shortly before where they first differ, cut to a sample's length."""
    pairs = enumerate(zip(before, after, strict=False))
    place = next((i for i, (left, right) in pairs if left != right), min(len(before), len(after)))
    begin = max(0, place - 80) if after else 0
    return before[begin : begin + SAMPLE_CHARACTERS], after[begin : begin + SAMPLE_CHARACTERS]
