"""Small multiples of an index, as drawings without a library: figures by task, and figures along training.

A page of a thousand results is read again whenever one is added, so it has to be small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.report.displayed_values import cut, shown, tight, tokens_text
from tokenworth.report.index.folder_reader import ResultIndex
from tokenworth.report.index.index_entry import BOW, F1, MAJORITY, Curve, Entry
from tokenworth.report.pages.index_table import link_of

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _FOOT = 340.0, 128.0, 12.0, 8.0, 24.0, 24.0
_CURVE_LEFT, _CURVE_HEIGHT = 44.0, 120.0
MOST_PANELS = 12
"""Of each sort; the table has all."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A result, which leads to its page."""

    x: float
    y: float
    row: str
    """The element of its row in the table."""
    href: str
    words: str
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line; its look is a class of the style sheet."""

    x1: float
    y1: float
    x2: float
    y2: float
    look: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text in a drawing, at its left or right end or middle."""

    x: float
    y: float
    text: str
    anchor: str = "end"


@dataclass(frozen=True, slots=True)
class Drawing:
    """One of the small multiples."""

    title: str
    says: str
    height: float
    dots: tuple[Dot, ...] = ()
    rules: tuple[Rule, ...] = ()
    words: tuple[Words, ...] = ()
    line: str = ""
    """Points of a polyline."""
    row: str = ""
    """The row in the table of the one result that it is of."""
    href: str = ""
    width: float = _WIDTH


@dataclass(frozen=True, slots=True)
class Scale:
    """From a figure to a place."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place, on a tenth of a pixel."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def task_drawings(index: ResultIndex, rows: dict[str, str]) -> list[Drawing]:
    """F1 by route of every task, on one axis for all; tasks with most routes and results first.

    Args:
        index: the results.
        rows: by file, the element of its row in the table.
    """
    by_task: dict[tuple[str, str], list[Entry]] = {}
    for entry in index.entries:
        if entry.content.route in ROUTES and _figure(entry) is not None:
            by_task.setdefault((entry.content.task, entry.content.fingerprint), []).append(entry)
    if not by_task:
        return []
    values = [value for entries in by_task.values() for entry in entries for value in _values(entry)]
    scale = _scale(values, _LEFT, _WIDTH - _RIGHT)
    ordered = sorted(by_task.items(), key=lambda item: (-len(_routes(item[1])), -len(item[1]), item[0]))
    return [_task_drawing(task, entries, scale, rows) for (task, _), entries in ordered[:MOST_PANELS]]


def _figure(entry: Entry) -> float | None:
    headline = entry.content.headline
    return None if headline is None or headline.name != F1 else headline.value


def _routes(entries: Sequence[Entry]) -> list[str]:
    measured = {entry.content.route for entry in entries}
    return [route for route in ROUTES if route in measured]


def _values(entry: Entry) -> list[float]:
    headline = entry.content.headline
    assert headline is not None, "only results with a figure are drawn"
    return [headline.value, *(reference.value for reference in headline.references)]


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
    return Scale(low, high if high > low else low + 0.1, start, end)


def _task_drawing(task: str, entries: Sequence[Entry], scale: Scale, rows: dict[str, str]) -> Drawing:
    present = _routes(entries)
    bottom = _TOP + _ROW * len(present)
    places = {route: _TOP + _ROW * (place + 0.5) for place, route in enumerate(present)}
    references = {
        reference.name: reference.value
        for entry in entries
        if entry.content.headline
        for reference in entry.content.headline.references
    }
    looks = {BOW: "bow", MAJORITY: "majority"}
    lines = [
        Rule(scale(value), _TOP, scale(value), bottom, looks[name])
        for name, value in references.items()
        if name in looks
    ]
    beside = [f"{name} {shown(references[name])}" for name in looks if name in references]
    beside += [
        f"{texts:,.0f} training texts" for texts in {entry.content.texts for entry in entries} if texts is not None
    ]
    return Drawing(
        title=cut(task, 60),
        says=", ".join(beside),
        height=bottom + _FOOT,
        dots=tuple(_dot(entry, scale, places[entry.content.route], rows) for entry in entries),
        rules=(*_grid(scale, bottom), *lines),
        words=(
            *(Words(_LEFT - 10, y + 4, ROUTES[route].title) for route, y in places.items()),
            *(Words(scale(tick), bottom + 16, f"{tick:.1f}", "middle") for tick in _ticks(scale)),
        ),
    )


def _dot(entry: Entry, scale: Scale, y: float, rows: dict[str, str]) -> Dot:
    headline = entry.content.headline
    assert headline is not None, "only results with a figure are drawn"
    between = tight(headline.low, headline.high)
    words = f"{entry.content.title}: {headline.name} {shown(headline.value)}" + f" ({between})" * bool(between)
    return Dot(scale(headline.value), y, rows[entry.file], link_of(entry), words, entry.content.random)


def _ticks(scale: Scale) -> list[float]:
    tenths = range(round(10 * scale.low), round(10 * scale.high) + 1)
    return [tenth / 10 for tenth in tenths if len(tenths) <= 6 or tenth % 2 == 0]


def _grid(scale: Scale, bottom: float) -> Iterable[Rule]:
    return (Rule(scale(tick), _TOP, scale(tick), bottom, "grid") for tick in _ticks(scale))


def curve_drawings(index: ResultIndex, rows: dict[str, str]) -> list[Drawing]:
    """Figures along training, those written last first; one axis for all of a figure."""
    curves = [(entry, curve) for entry in index.entries if not entry.part_of for curve in entry.content.curves]
    scales = {
        figure: _scale(
            [value for _, curve in curves if curve.figure == figure for value in _of_curve(curve)],
            _TOP + _CURVE_HEIGHT,
            _TOP,
        )
        for figure in {curve.figure for _, curve in curves}
    }
    return [_curve_drawing(entry, curve, scales[curve.figure], rows) for entry, curve in curves[:MOST_PANELS]]


def _of_curve(curve: Curve) -> list[float]:
    return [*curve.y, *([curve.reference.value] if curve.reference else [])]


def _curve_drawing(entry: Entry, curve: Curve, y: Scale, rows: dict[str, str]) -> Drawing:
    x = Scale(0.0, max(curve.x) or 1.0, _CURVE_LEFT, _WIDTH - _RIGHT)
    bottom, reference = _TOP + _CURVE_HEIGHT, curve.reference
    beside = "" if reference is None else f", {reference.name} {shown(reference.value)}"
    rules = [Rule(_CURVE_LEFT, y(end), _WIDTH - _RIGHT, y(end), "grid") for end in (y.low, y.high)]
    if reference is not None:
        rules.append(Rule(_CURVE_LEFT, y(reference.value), _WIDTH - _RIGHT, y(reference.value), "bow"))
    return Drawing(
        title=cut(f"{entry.place}: {curve.name}", 60),
        says=f"{curve.figure} {shown(curve.y[-1])} at the end{beside}",
        height=bottom + _FOOT,
        rules=tuple(rules),
        words=(
            *(Words(_CURVE_LEFT - 6, y(end) + 4, f"{end:.1f}") for end in (y.low, y.high)),
            Words(_CURVE_LEFT, bottom + 16, "0", "middle"),
            Words(_WIDTH - _RIGHT, bottom + 16, f"{tokens_text(max(curve.x))} tokens"),
        ),
        line=" ".join(f"{x(a)},{y(b)}" for a, b in zip(curve.x, curve.y, strict=True)),
        row=rows[entry.file],
        href=link_of(entry),
    )
