"""Which tables of a source are train and test, which columns are in use, and which rows count."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tokenworth.errors import TaskError
from tokenworth.tasks.columns import Columns, choose_columns, require
from tokenworth.tasks.labels import is_labelled, without_unlabelled
from tokenworth.tasks.rows import Rows, read_rows
from tokenworth.tasks.source import Origin
from tokenworth.tasks.table import Table
from tokenworth.tasks.table_files import read_table


def choose_parts(
    origin: Origin,
    wish: Columns,
    test: str | os.PathLike[str] | float | None,
    notes: list[str],
    as_lists: Callable[[Table], Table],
) -> tuple[Columns, list[Table]]:
    """The columns in use, and the tables of train and, where there is one, of test, each changed by `as_lists`."""
    origin = replace(origin, parts={part: as_lists(table) for part, table in origin.parts.items()})
    if "train" not in origin.parts and len(origin.parts) != 1:
        raise TaskError(f"{origin.source}: no part is called train; there are {', '.join(origin.parts) or 'none'}")
    train = origin.parts["train"] if "train" in origin.parts else next(iter(origin.parts.values()))
    columns = choose_columns(train, _merge(wish, origin.columns))
    if test is not None:
        table = as_lists(read_table(str(test)))
        notes.append(f"Train and test are two files; the test file is {Path(str(test)).name}.")
        return columns, [train, _same_columns(table, columns)]
    for part in (part for part in origin.test_parts if part in origin.parts):
        table = origin.parts[part]
        if _has_labels(table, columns):
            if part != "test":
                notes.append(f"The {part} part is used as test.")
            return columns, [train, _same_columns(table, columns)]
        notes.append(f"The {part} part has no labels (no values in column '{columns.label}') and is not used.")
    return columns, [train]


def _merge(wish: Columns, known: Columns) -> Columns:
    """The user's columns first; naming the text sets the whole known pair aside."""
    texts = wish if wish.text is not None or wish.text_pair is not None else known
    return Columns(texts.text, texts.text_pair, wish.label or known.label, wish.group or known.group)


def _has_labels(table: Table, columns: Columns) -> bool:
    """Whether any row has a label; published test parts often hide them, in any of several ways."""
    assert columns.label is not None
    same = [values for name, values in table.columns.items() if name.lower() == columns.label.lower()]
    return any(is_labelled(values) for values in same)


def _same_columns(table: Table, columns: Columns) -> Table:
    """The test table with its columns called as in train, whatever their case."""
    names = [name for name in (columns.text, columns.text_pair, columns.label, columns.group) if name is not None]
    return replace(table, columns={name: table.columns[require(table, name)] for name in names})


def labelled_rows(table: Table, columns: Columns, origin: Origin, notes: list[str]) -> Rows:
    """The table's rows, without those whose label -1 means that there is none.

    That is the hub's habit for named classes; where classes have no names, as in a file of -1, 0 and 1, it is a class.
    """
    if len(table) == 0:
        raise TaskError(f"{table.source} holds no rows; it needs at least two texts of every class")
    assert columns.label is not None
    notes += table.notes
    rows = read_rows(table, columns)
    if not origin.marks_unlabelled and known_names(origin, table, columns) is None:
        return rows
    labelled = without_unlabelled(rows)
    if len(labelled.texts) < len(rows.texts):
        dropped = len(rows.texts) - len(labelled.texts)
        notes.append(f"{dropped:,} rows of {table.source} with label -1 (no gold label) are left out.")
    return labelled


def known_names(origin: Origin, table: Table, columns: Columns) -> tuple[str, ...] | None:
    """Names known for the label column in use; those of a rule or a meta.json belong to its own label column only."""
    assert columns.label is not None
    if columns.label.lower() in {"label", origin.columns.label}:
        return origin.label_names or table.class_names.get(columns.label)
    return table.class_names.get(columns.label)
