"""From a table to rows: one text (pairs joined), one raw label and, where asked for, one group each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.errors import TaskError
from tokenworth.files import same_form
from tokenworth.files.endings import HALVES
from tokenworth.tasks.columns import Columns
from tokenworth.tasks.table import Table


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Texts with labels as they stand in the file; `index` (N,) int64 is each one's row of `table`."""

    table: Table
    index: np.ndarray
    texts: list[str]
    labels: list[Any]
    groups: list[Any] | None
    half_pairs: int = 0
    """Pairs of which one text is empty."""

    def place(self, row: int) -> str:
        """Where a row stands in its file."""
        return self.table.place(int(self.index[row]))

    def take(self, keep: Sequence[int]) -> Rows:
        """The rows with these positions, in this order."""
        texts, labels = [self.texts[i] for i in keep], [self.labels[i] for i in keep]
        groups = None if self.groups is None else [self.groups[i] for i in keep]
        return Rows(self.table, self.index[np.asarray(keep, np.int64)], texts, labels, groups, self.half_pairs)


def read_rows(table: Table, columns: Columns) -> Rows:
    """Texts, labels and groups of a table; the two texts of a pair are joined by one space, in every row.

    A TaskError names the row where a text or a group is missing, or a text column holds something else than text.
    """
    assert columns.label is not None
    texts, half_pairs = read_texts(table, columns)
    groups = None if columns.group is None else _groups(table, columns.group)
    return Rows(table, np.arange(len(table)), texts, table.columns[columns.label], groups, half_pairs)


def read_texts(table: Table, columns: Columns) -> tuple[list[str], int]:
    """The texts of a table, pairs joined by one space, and how many pairs have an empty half; errors as `read_rows`."""
    assert columns.text is not None
    texts = _texts(table, columns.text)
    if columns.text_pair is None:
        return texts, 0
    pairs = list(zip(texts, _texts(table, columns.text_pair), strict=True))
    return [f"{a} {b}" for a, b in pairs], sum(not a.strip() or not b.strip() for a, b in pairs)


def is_missing(value: Any) -> bool:
    """None, a float NaN, or a string of nothing but white space."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _texts(table: Table, column: str) -> list[str]:
    values = table.columns[column]
    for row, value in enumerate(values):
        if not isinstance(value, str):
            what = f"column '{column}' has no text; remove the row or fill it in"
            if not is_missing(value):
                kind = type(value).__name__
                what = f"column '{column}' holds {kind} values, not text; name the text column with text="
            raise TaskError(f"{table.place(row)}: {what}")
        if not value.isascii() and HALVES.search(value):
            what = f"the text in column '{column}' holds half a character (a lone surrogate)"
            raise TaskError(f"{table.place(row)}: {what}; write it again as valid Unicode")
    return values


def _groups(table: Table, column: str) -> list[Any]:
    values = table.columns[column]
    if (row := next((row for row, value in enumerate(values) if is_missing(value)), None)) is not None:
        what = f"column '{column}' names no group; give every row one, a lone row its own"
        raise TaskError(f"{table.place(row)}: {what}")
    return [value if isinstance(value, int) else same_form(str(value)) for value in values]
