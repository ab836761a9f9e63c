"""Two results of a kind: in which of their facts they differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenworth.base.sentences import nearest
from tokenworth.errors import SettingError
from tokenworth.report.displayed_values import ABSENT
from tokenworth.report.index.folder_reader import ResultIndex
from tokenworth.report.index.index_entry import SECTIONS, Entry, Value, fact_text
from tokenworth.report.index.result_kinds import PLURALS


@dataclass(frozen=True, slots=True)
class Change:
    """A fact in which two results differ."""

    section: str
    name: str
    first: str
    second: str
    difference: float | None
    """Second minus first, of numbers."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results of one kind."""

    first: Entry
    second: Entry
    changes: tuple[Change, ...]
    """In the order of the sections."""
    alike: dict[str, int]
    """By section, how many facts are the same in both."""

    @property
    def same_texts(self) -> bool:
        """Whether both are on the same texts, labels and split."""
        prints = self.first.content.fingerprint, self.second.content.fingerprint
        return bool(prints[0]) and prints[0] == prints[1]


def compare_entries(first: Entry, second: Entry) -> Comparison:
    """What changed from the first to the second.

    Raises:
        SettingError: they are results of two kinds.
    """
    if first.kind != second.kind:
        raise SettingError(
            f"{first.place} is of the kind {first.kind} and {second.place} of the kind {second.kind}; only two results "
            "of one kind can be compared"
        )
    changes = tuple(change for section in SECTIONS for change in _changes(section, first, second))
    alike = {section: _alike(section, first, second) for section in SECTIONS}
    return Comparison(first, second, changes, alike)


def chosen_pair(index: ResultIndex, names: Sequence[str | Path]) -> tuple[Entry, Entry]:
    """The two results that are meant by their folders or files, given from the index's folder or from here.

    Raises:
        SettingError: there is no such result, or a folder holds several that both may mean.
    """
    matches = [_matches(index, Path(name)) for name in names]
    for name, found in zip(names, matches, strict=True):
        if not found:
            known = sorted({entry.place for entry in index.entries})
            raise SettingError(f"{index.root} has no result {str(name)!r}; {nearest(str(name), known)}")
    pairs = [(a, b) for a in matches[0] for b in matches[1] if a.kind == b.kind]
    if not pairs:
        compare_entries(matches[0][0], matches[1][0])
    if len(pairs) > 1:
        files = ", ".join(entry.file for found in matches for entry in found)
        raise SettingError(f"the folders hold several results of one kind; name two of these files: {files}")
    return pairs[0]


def _matches(index: ResultIndex, name: Path) -> list[Entry]:
    places = [index.root / name, name]
    resolved = {place.resolve() for place in places if place.exists()}
    root = index.root.resolve()
    return [
        entry for entry in index.entries if {(root / entry.place).resolve(), (root / entry.file).resolve()} & resolved
    ]


def _changes(section: str, first: Entry, second: Entry) -> Iterator[Change]:
    before, after = (entry.content.facts.get(section, {}) for entry in (first, second))
    for name in [*before, *(name for name in after if name not in before)]:
        a, b = before.get(name, ABSENT), after.get(name, ABSENT)
        if a != b:
            yield Change(section, name, fact_text(a), fact_text(b), _difference(a, b))


def _difference(a: Value, b: Value) -> float | None:
    return None if isinstance(a, str) or isinstance(b, str) else b - a


def _alike(section: str, first: Entry, second: Entry) -> int:
    before, after = (entry.content.facts.get(section, {}) for entry in (first, second))
    return sum(name in after and after[name] == value for name, value in before.items())


def kind_words(kind: str, count: int) -> str:
    """What so many results of a kind are called."""
    return PLURALS[kind] if count != 1 else "pretraining run" if kind == "pretraining" else kind


def kinds_text(index: ResultIndex) -> str:
    """How many there are of each kind: 3 assessments, 1 study; those that are parts of another result last."""
    own = [entry.kind for entry in index.entries if not entry.part_of]
    words = [f"{own.count(kind):,} {kind_words(kind, own.count(kind))}" for kind in PLURALS if kind in own]
    parts = len(index.entries) - len(own)
    return ", ".join(words + [f"{parts:,} parts of them"] * bool(parts)) or "none"
