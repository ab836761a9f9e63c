"""From raw labels to classes 0..C-1, or one sentence on why these labels are no classes."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tokenworth.errors import TaskError
from tokenworth.files.endings import HALVES
from tokenworth.tasks.rows import Rows, is_missing

_NO_LABEL = (-1, "-1")
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,99})", re.ASCII)
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]|^[\u200c\u200d]+|[\u200c\u200d]+$"
)
"""Characters that show nothing; joiners count inside a word, where they tell emoji and words of some scripts apart."""
_MOSTLY_DISTINCT = 20
"""Rows from which on labels that mostly occur once are taken for ids or measurements, not for classes."""


def encode_labels(
    parts: Sequence[Rows], names: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], list[np.ndarray], list[str]]:
    """Classes of one part (train) or two (train, test).

    Integers, also those written as 1.0 or "1", are sorted as numbers, all else as strings; `names`, where a file or
    data set gives them, name the integers from 0 and set the order.  Named classes without a single row are left out.

    Returns:
        The C class names, one (N,) int64 array of class indices for each part, and notes.

    Raises:
        TaskError: labels missing, no plain values, real numbers, nearly all different, of one class only, of a class
            with fewer than two training texts, outside `names`, or in test and not in train.
    """
    values: list[list[Any]] = [list(_plain_labels(rows)) for rows in parts]
    if len({type(value) for part in values for value in part[:1]}) > 1:
        values = [[str(value) for value in part] for part in values]
    notes = _spelling_notes(parts)
    if names is not None:
        names = tuple(map(normal_label, names))
        values = _indices(parts, values, names)
    train = Counter(values[0])
    _refuse_unseen(parts, values, train, names)
    _refuse_too_few(parts[0], train, names)
    position = {label: index for index, label in enumerate(sorted(train))}
    encoded = [np.array([position[value] for value in part], dtype=np.int64) for part in values]
    kept = tuple(_name(label, names) for label in position)
    if names is not None and len(kept) < len(names):
        notes.append(f"{len(names) - len(kept)} of the {len(names)} named classes have no texts and are left out.")
    return kept, encoded, notes


def normal_label(label: str) -> str:
    """A label as it counts: in composed form (NFC), without characters that show nothing and space around it."""
    return label.strip() if label.isascii() else unicodedata.normalize("NFC", _INVISIBLE.sub("", label)).strip()


def _is_missing(label: Any) -> bool:
    return is_missing(label) or (isinstance(label, str) and not normal_label(label))


def _spelling_notes(parts: Sequence[Rows]) -> list[str]:
    """A note where labels that look alike were written in several ways."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label in (label for rows in parts for label in rows.labels if isinstance(label, str)):
        spellings[normal_label(label)][label.strip()] += 1
    several = {label: written for label, written in spellings.items() if len(written) > 1}
    if not several:
        return []
    listed = ", ".join(f"'{label}' ({len(written)} ways)" for label, written in sorted(several.items())[:5])
    more = f" and {len(several) - 5} more" if len(several) > 5 else ""
    changed = sum(written.total() - written[label] for label, written in several.items())
    what = "Labels that differ only in their Unicode form or in characters that show nothing are one class"
    return [f"{what}: {listed}{more}; {changed:,} rows were written otherwise."]


def without_unlabelled(rows: Rows) -> Rows:
    """Rows without those whose label is -1, the hub's mark for "no gold label"."""
    return rows.take([i for i, label in enumerate(rows.labels) if label not in _NO_LABEL])


def is_labelled(labels: Sequence[Any]) -> bool:
    """Whether a part has labels at all; hidden test labels come as -1, as None or as empty strings."""
    return any(not is_missing(label) and label not in _NO_LABEL for label in labels)


def _plain_labels(rows: Rows) -> list[int] | list[str]:
    """All labels of a part as int, or all as str."""
    for row, label in enumerate(rows.labels):
        if fault := _fault(label, rows):
            raise TaskError(f"{rows.place(row)}: {fault}")
    kinds = {type(label) for label in rows.labels}
    if kinds <= {int, float}:
        return _integers(rows, rows.labels)
    if kinds != {str}:
        return [str(label).lower() if isinstance(label, bool) else normal_label(str(label)) for label in rows.labels]
    labels = [normal_label(label) for label in rows.labels]
    distinct = set(labels)
    if all(_INTEGER.fullmatch(label) for label in distinct):
        return [int(label) for label in labels]
    if all(_FLOAT.fullmatch(label) for label in distinct) and any("." in label for label in distinct):
        return _integers(rows, [float(label) for label in labels])
    return labels


def _fault(label: Any, rows: Rows) -> str:
    """Why a label is none, or ""."""
    if isinstance(label, (list, tuple, dict, set)):
        what = f"the label is a {type(label).__name__}, which is neither a class nor a list of labels"
        return f"{what}; give every text one label, or every text a list of them"
    if _is_missing(label):
        others = sum(map(_is_missing, rows.labels)) - 1
        more = f" (and in {others} more rows)" if others else ""
        return f"the label is missing{more}; label these rows or remove them"
    if isinstance(label, str) and not label.isascii() and HALVES.search(label):
        return "the label holds half a character (a lone surrogate); write it again"
    return ""


def _integers(rows: Rows, numbers: list[Any]) -> list[int]:
    for row, number in enumerate(numbers):
        if number != number // 1:  # also true of infinity, whose floor is not a number
            what = f"label {number} is a real number; regression is not supported"
            raise TaskError(f"{rows.place(row)}: {what}: turn the numbers into a few classes first")
    return [int(number) for number in numbers]


def _indices(parts: Sequence[Rows], values: list[list[Any]], names: tuple[str, ...]) -> list[list[int]]:
    if wrong := next((name for name in names if HALVES.search(name)), None):
        source = parts[0].table.source
        raise TaskError(f"{source}: the class name {wrong!r} holds half a character; write it again")
    index: dict[Any, int] = {key: i for i, name in enumerate(names) for key in (name, i)}
    for rows, part in zip(parts, values, strict=True):
        if (row := next((row for row, label in enumerate(part) if label not in index), None)) is not None:
            listed = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            what = f"label {part[row]!r} is not one of the {len(names)} named classes ({listed})"
            raise TaskError(f"{rows.place(row)}: {what}")
    return [[index[label] for label in part] for part in values]


def _refuse_unseen(
    parts: Sequence[Rows], values: list[list[Any]], train: Counter[Any], names: tuple[str, ...] | None
) -> None:
    for rows, part in zip(parts[1:], values[1:], strict=True):
        if unseen := sorted(set(part) - train.keys()):
            listed = ", ".join(f"'{_name(label, names)}'" for label in unseen[:5])
            remedy = "add training texts of the class or remove it from test"
            place = rows.place(part.index(unseen[0]))
            raise TaskError(f"{place}: test label {listed} does not occur in train; {remedy}")


def _refuse_too_few(rows: Rows, train: Counter[Any], names: tuple[str, ...] | None) -> None:
    total, what = sum(train.values()), ""
    few = [f"'{_name(label, names)}'" for label, count in sorted(train.items()) if count < 2]
    if total >= _MOSTLY_DISTINCT and len(train) > total / 2:
        what = f"{len(train):,} different labels in {total:,} rows look like ids or measurements, not like classes; "
        what += "name another column with label="
    elif len(train) == 1:
        what = f"every row has the label '{_name(next(iter(train)), names)}'; a task needs two classes"
    elif few:
        listed = f"{', '.join(few[:5])}{f' and {len(few) - 5} more' if len(few) > 5 else ''}"
        what = f"fewer than two training texts in class {listed}; add texts, or remove or merge the class"
    if what:
        raise TaskError(f"{rows.table.source}: {what}")


def _name(label: Any, names: tuple[str, ...] | None) -> str:
    return str(label) if names is None else names[label]
