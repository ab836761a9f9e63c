"""Several labels a text: from a list column, a delimiter, or one column a label -> classes and a matrix of 0 and 1."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tokenworth.errors import TaskError
from tokenworth.tasks.columns import require
from tokenworth.tasks.labels import encode_labels
from tokenworth.tasks.rows import Rows, is_missing
from tokenworth.tasks.table import Table

COLUMN = "label columns"
"""What the column is called that one column a label becomes."""
_TRUE = {1, "1", "1.0", "true", "yes"}
_FALSE = {0, "0", "0.0", "false", "no"}


def label_lister(table: Table, wish: Sequence[str]) -> Callable[[Table], Table]:
    """What puts one column of lists in the place of columns of 0 and 1, named as in `table`; nothing where none are.

    It raises a TaskError where a column holds something else than 0 and 1 (true and false, yes and no).

    Raises:
        TaskError: a column is not there, or only one is named.
    """
    if not wish:
        return lambda table: table
    names = _named(table, wish)
    if len(names) < 2:
        raise TaskError(f"{table.source}: '{names[0]}' is one label; name two label_columns or more, or it as label=")
    return lambda table: _with_lists(table, names)


def _named(table: Table, wish: Sequence[str]) -> list[str]:
    """The columns in the table's spelling; FIRST:LAST takes those between as well."""
    names: list[str] = []
    for word in wish:
        first, colon, last = word.partition(":")
        if word in table.columns or not colon:
            names.append(require(table, word))
            continue
        order = list(table.columns)
        begin, end = (order.index(require(table, name)) for name in (first, last))
        if end < begin:
            raise TaskError(f"{table.source}: column '{last}' stands before '{first}'; write {last}:{first}")
        names += order[begin : end + 1]
    return list(dict.fromkeys(names))


def _with_lists(table: Table, names: list[str]) -> Table:
    held: list[list[str]] = [[] for _ in range(len(table))]
    for name in names:
        for row, value in enumerate(table.columns[require(table, name)]):
            word = value.strip().lower() if isinstance(value, str) else value
            known = isinstance(word, Hashable)
            if known and word in _TRUE:
                held[row].append(name)
            elif not known or word not in _FALSE:
                what = f"label column '{name}' holds {value!r}, not 0 or 1"
                raise TaskError(f"{table.place(row)}: {what}; name only columns that say whether a text has a label")
    kept = {name: values for name, values in table.columns.items() if name not in names}
    return replace(table, columns={**kept, COLUMN: held}, class_names={**table.class_names, COLUMN: tuple(names)})


def are_several(rows: Sequence[Rows], delimiter: str | None) -> bool:
    """Whether texts have several labels: a delimiter is named, or a label is a list."""
    return delimiter is not None or any(isinstance(label, list | tuple) for part in rows for label in part.labels)


def encode_label_sets(
    parts: Sequence[Rows], names: tuple[str, ...] | None, delimiter: str | None
) -> tuple[tuple[str, ...], list[np.ndarray], list[str]]:
    """As `encode_labels`, of texts with any number of labels: a list each, or text with a delimiter between labels.

    Returns:
        The C label names, for each part an (N, C) uint8 matrix of 0 and 1, and notes.

    Raises:
        TaskError: what `encode_labels` says of each label; lists and plain values in one column; a delimiter for lists.
    """
    lists = [_lists(rows, delimiter) for rows in parts]
    flat = [_flat(rows, held) for rows, held in zip(parts, lists, strict=True)]
    if not flat[0].labels:
        raise TaskError(f"{parts[0].table.source}: no training text has a label; name another column with label=")
    kept, codes, notes = encode_labels(flat, names)
    matrices = []
    for rows, held, code in zip(parts, lists, codes, strict=True):
        matrix_NC = np.zeros((len(rows.texts), len(kept)), dtype=np.uint8)
        matrix_NC[np.repeat(np.arange(len(held)), [len(labels) for labels in held]), code] = 1
        matrices.append(matrix_NC)
    return kept, matrices, [*notes, _note(matrices, kept)]


def _lists(rows: Rows, delimiter: str | None) -> list[list[Any]]:
    """The labels of each text, each once."""
    if delimiter == "":
        raise TaskError("delimiter is empty; name what stands between two labels, such as ';'")
    lists: list[list[Any]] = []
    for row, value in enumerate(rows.labels):
        if isinstance(value, list | tuple) != (delimiter is None):
            raise TaskError(f"{rows.place(row)}: {_mixed(value, delimiter)}")
        whole = isinstance(value, list | tuple)
        held = list(value) if whole else [] if is_missing(value) else str(value).split(delimiter)
        if not whole:
            held = [word for word in held if word.strip()]
        if wrong := next((label for label in held if isinstance(label, list | tuple | dict | set)), None):
            what = f"a label in the list is itself a {type(wrong).__name__}"
            raise TaskError(f"{rows.place(row)}: {what}; give every text one plain list of labels")
        lists.append(list(dict.fromkeys(held)))
    return lists


def _mixed(value: Any, delimiter: str | None) -> str:
    if delimiter is not None:
        return f"the label is a list, which needs no delimiter {delimiter!r}; leave it out"
    kind = "missing" if is_missing(value) else f"{value!r}, no list"
    return f"the label is {kind}, and other rows hold lists of labels; give every text a list, [] where it has none"


def _flat(rows: Rows, lists: list[list[Any]]) -> Rows:
    """One row a label of a text, each knowing its place in the file."""
    repeated = np.repeat(np.arange(len(lists)), [len(held) for held in lists])
    return replace(rows.take(repeated.tolist()), labels=[label for held in lists for label in held])


def _note(matrices: list[np.ndarray], names: tuple[str, ...]) -> str:
    held_N = np.concatenate([matrix_NC.sum(1) for matrix_NC in matrices])
    return (
        f"Several labels a text: {len(names)} labels, {held_N.mean():.2f} a text in the mean, at most {held_N.max()}; "
        f"{(held_N == 0).sum():,} texts have none."
    )
