"""One result as the index shows it: its figure beside what that is to be compared with, and its facts by section."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenworth.adaptation.route_names import route_title
from tokenworth.report.displayed_values import ABSENT, clean

BOW, MAJORITY = route_title("bow"), "majority class"
F1 = "weighted F1"
SECTIONS = ("Data", "Model", "Settings", "Versions", "Numbers")
"""Of an entry's facts, in reading order."""
_LONGEST_FACT, _LARGEST, _LARGEST_COUNT, _LONGEST_LIST = 120, 1e300, 1e12, 6

Value = float | str
Facts = dict[str, dict[str, Value]]
"""By section, values by name: numbers as they are, all else in words."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a figure is to be compared with."""

    name: str
    value: float
    source: str = ""
    """The result that it was measured by, where that is another one."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The figure of a result."""

    name: str
    """What it is: weighted F1, bits a byte, documents."""
    value: float
    low: float | None = None
    high: float | None = None
    references: tuple[Reference, ...] = ()
    """The one that counts most first."""
    remark: str = ""
    less_is_better: bool = False
    is_share: bool = True
    """Whether its difference from the first reference says how much better it is."""

    @property
    def lead(self) -> float | None:
        """By how much it is better than the first reference."""
        if not self.references or not self.is_share:
            return None
        difference = self.value - self.references[0].value
        return -difference if self.less_is_better else difference


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure along training."""

    name: str
    x: tuple[float, ...]
    """Tokens."""
    y: tuple[float, ...]
    figure: str
    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What the file of a result says."""

    title: str
    """Of which model, route or corpus it is."""
    best: str = ""
    """Where it is of several models, the one that its headline is of."""
    task: str = ""
    headline: Headline | None = None
    sentence: str = ""
    """The answer in words."""
    facts: Facts = field(default_factory=dict)
    texts: float | None = None
    """Training texts."""
    seconds: float | None = None
    fingerprint: str = ""
    """Of the task's texts, labels and split."""
    route: str = ""
    random: bool = False
    """Whether the network has random weights."""
    references: tuple[Reference, ...] = ()
    """What it measured for others on the same task: a bag of words, the majority class."""
    curves: tuple[Curve, ...] = ()
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One result below the folder of an index."""

    kind: str
    """By name: assessment, ranking, decision, run, study, trace, corpus, pretraining or mixture."""
    file: str
    """Its file, from the folder of the index, with / between."""
    page: str
    """Its page likewise, or ""."""
    changed: float
    """When the file was written, in seconds since 1970."""
    content: Described
    part_of: str = ""
    """The study, trace, run or mixture it is a part of, by folder; "" for a result of its own."""

    @property
    def place(self) -> str:
        """Its folder, from that of the index."""
        return self.file.rpartition("/")[0] or "."


@dataclass(frozen=True, slots=True)
class Fault:
    """A file by the name of a result that holds none that can be used."""

    file: str
    sentence: str


def facts_of(values: Mapping[str, Any], skip: Iterable[str] = ()) -> dict[str, Value]:
    """By name, nested mappings opened; numbers to eight digits, all else in words, long lists cut with a checksum."""
    skipped, named = set(skip), dict[str, Value]()
    for key, value in values.items():
        name = clean(key).replace("_", " ")
        if key in skipped:
            continue
        if isinstance(value, Mapping):
            named |= {f"{name}: {inner}": fact for inner, fact in facts_of(value).items()}
        else:
            named[name] = _fact(value)
    return named


def _fact(value: Any) -> Value:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ABSENT
    if isinstance(value, int | float):
        return float(f"{value:.8g}") if abs(value) < _LARGEST else "beyond 1e300"
    if (
        isinstance(value, list)
        and 0 < len(value) <= _LONGEST_LIST
        and not any(isinstance(v, list | dict) for v in value)
    ):
        return ", ".join(fact_text(_fact(inner)) for inner in value)
    text = clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    if len(text) <= _LONGEST_FACT:
        return text
    return f"{text[: _LONGEST_FACT - 30]}… (checksum {zlib.crc32(text.encode('utf-8', 'replace')):08x})"


def fact_text(value: Value) -> str:
    """A fact as people read it."""
    if isinstance(value, str):
        return value
    if value == int(value) and abs(value) < _LARGEST_COUNT:
        return f"{int(value):,}"
    return f"{value:.4g}"
