"""From a table to rows: one text (pairs joined), one raw label and, where asked for, one group each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.errors import TaskError
from tokenworth.files import same_form
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
        groups = None if self.groups is None else [self.groups[i] for i in keep]
        index = self.index[np.asarray(keep, dtype=np.int64)]
        return Rows(
            self.table, index, [self.texts[i] for i in keep], [self.labels[i] for i in keep], groups, self.half_pairs
        )


def read_rows(table: Table, columns: Columns) -> Rows:
    """Texts, labels and groups of a table; the two texts of a pair are joined by one space, in every row.

    Raises:
        TaskError: a text or a group is missing, or a text column holds something else than text; the row is named.
    """
    assert columns.label is not None
    texts, half_pairs = read_texts(table, columns)
    groups = None if columns.group is None else _groups(table, columns.group)
    return Rows(table, np.arange(len(table)), texts, table.columns[columns.label], groups, half_pairs)


def read_texts(table: Table, columns: Columns) -> tuple[list[str], int]:
    """The texts of a table, pairs joined by one space, and how many pairs have an empty half.

    Raises:
        TaskError: a text is missing, or a text column holds something else than text; the row is named.
    """
    assert columns.text is not None
    texts = _texts(table, columns.text)
    if columns.text_pair is None:
        return texts, 0
    second = _texts(table, columns.text_pair)
    half_pairs = sum(not a.strip() or not b.strip() for a, b in zip(texts, second, strict=True))
    return [f"{a} {b}" for a, b in zip(texts, second, strict=True)], half_pairs


def is_missing(value: Any) -> bool:
    """None, a float NaN, or a string of nothing but white space."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _texts(table: Table, column: str) -> list[str]:
    values = table.columns[column]
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise TaskError(_not_text(table, column, row, value))
        if not value.isascii() and not _encodes(value):
            raise TaskError(
                f"{table.place(row)}: the text in column '{column}' holds half a character (a lone surrogate); write "
                "it again as valid Unicode"
            )
    return values


def _not_text(table: Table, column: str, row: int, value: Any) -> str:
    if is_missing(value):
        return f"{table.place(row)}: column '{column}' has no text; remove the row or fill it in"
    kind = type(value).__name__
    return f"{table.place(row)}: column '{column}' holds {kind} values, not text; name the text column with text="


def _encodes(text: str) -> bool:
    """Whether a text is whole characters; half a pair of surrogates is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _groups(table: Table, column: str) -> list[Any]:
    values = table.columns[column]
    for row, value in enumerate(values):
        if is_missing(value):
            raise TaskError(
                f"{table.place(row)}: column '{column}' names no group; give every row one, a lone row its own"
            )
    return [value if isinstance(value, int) else same_form(str(value)) for value in values]
