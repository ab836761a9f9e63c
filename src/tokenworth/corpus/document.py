"""The one record that flows, and the ledger in which every loss and every change has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SAMPLES = 3
"""Dropped or changed documents a reason keeps for the report, of each shard and in all."""
SAMPLE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Document:
    """A text on its way to becoming tokens."""

    text: str
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
    bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.documents + other.documents, self.bytes + other.bytes)

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Amount:
        """How much some documents are."""
        return cls(len(documents), sum(one.size for one in documents))


@dataclass(slots=True)
class Ledger:
    """What one stage did to one shard, or to many: ledgers add up in any order but that of the samples."""

    taken: Amount = field(default_factory=Amount)
    given: Amount = field(default_factory=Amount)
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

    def drop(self, document: Document, reason: str) -> None:
        """A document goes no further."""
        self.dropped[reason] = self.dropped.get(reason, Amount()) + Amount(1, document.size)
        self._sample("dropped", reason, document, document.text, "")

    def change(self, before: Document, after: str, reason: str) -> None:
        """A document goes on with another text."""
        self.changed[reason] = self.changed.get(reason, Amount()) + Amount(1, before.size)
        self._sample("changed", reason, before, before.text, after)

    def count(self, fact: str, name: str, number: int = 1) -> None:
        """Add to a named count."""
        own = self.facts.setdefault(fact, {})
        own[name] = own.get(name, 0) + number

    def _sample(self, what: str, reason: str, document: Document, before: str, after: str) -> None:
        if sum(one["reason"] == reason and one["what"] == what for one in self.samples) >= SAMPLES:
            return
        before, after = _around_change(before, after)
        self.samples.append(
            {"what": what, "reason": reason, "id": document.id, "source": document.source, "before": before,
             "after": after}
        )  # fmt: skip

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
            same = sum((s["reason"], s["what"]) == (sample["reason"], sample["what"]) for s in self.samples)
            self.samples += [sample] if same < SAMPLES else []

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Ledger:
        """What `as_json` gave."""
        made = cls(Amount(**found["taken"]), Amount(**found["given"]))
        for name in ("dropped", "changed"):
            getattr(made, name).update({reason: Amount(**amount) for reason, amount in found[name].items()})
        made.facts, made.notes, made.samples = found["facts"], found["notes"], found["samples"]
        return made


def _around_change(before: str, after: str) -> tuple[str, str]:
    """Both texts from shortly before where they first differ, cut to a sample's length."""
    pairs = enumerate(zip(before, after, strict=False))
    place = next((i for i, (left, right) in pairs if left != right), min(len(before), len(after)))
    begin = max(0, place - 80) if after else 0
    return before[begin : begin + SAMPLE_CHARACTERS], after[begin : begin + SAMPLE_CHARACTERS]
