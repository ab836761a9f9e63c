"""Which column holds the text, the second text of a pair, the label and the group: named by the user or found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tokenworth.errors import TaskError
from tokenworth.tasks.table import Table

TEXT_NAMES = (
    "text",
    "sentence",
    """abstract body comment comment_text content context description document headline input message post query
    question review review_body review_text sms title tweet utterance""",
)
"""Names of a text column, best first, in upper or lower case; several of one rank (a line) in a table are ambiguous."""

LABEL_NAMES = (
    "label",
    "labels",
    """category class class_name emotion gold_label intent label_name label_text polarity rating sentiment stars
    target topic y""",
)
"""Names of a label column, in the same manner."""

PAIR_NAMES: tuple[tuple[str, str], ...] = (
    ("premise", "hypothesis"),
    ("question_1", "question_2"),
    ("question1", "question2"),
    ("sentence_1", "sentence_2"),
    ("sentence1", "sentence2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
    ("text_1", "text_2"),
    ("text1", "text2"),
    ("question", "sentence"),
)
"""Names of the two columns of a text pair; looked for where no column is called `text`, before any other name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns in use; None means "not named" in a wish and "not there" in an answer."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    group: str | None = None


def choose_columns(table: Table, wish: Columns) -> Columns:
    """Columns as named in `wish`, the others found by name; a TaskError names those there are where a named one is not
    there, or none or several could be meant.
    """
    named = _in_table(table, wish)
    text, pair = _text_and_pair(table, named)
    label = named.label or _find(table, LABEL_NAMES, "label", taken=(text, pair))
    if label in (text, pair):
        what = f"column '{label}' cannot be both text and label; name them with text= and label="
        raise TaskError(f"{table.source}: {what}")
    if pair is not None and pair == text:
        raise TaskError(f"{table.source}: column '{text}' is named as both texts of the pair; name two columns")
    return Columns(text, pair, label, named.group)


def choose_texts(table: Table, wish: Columns) -> Columns:
    """Columns of the text, or the two of a pair, in a table that needs no labels; see `choose_columns`."""
    return Columns(*_text_and_pair(table, _in_table(table, Columns(wish.text, wish.text_pair))))


def require(table: Table, name: str) -> str:
    """The table's own spelling of a column (upper and lower case are alike where that is unambiguous)."""
    if name in table.columns:
        return name
    alike = _by_lower(table).get(name.lower(), [])
    if len(alike) == 1:
        return alike[0]
    near = get_close_matches(name, table.columns, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise TaskError(f"{table.source} has no column '{name}'; its columns are {_list(table.columns)}{hint}")


def _in_table(table: Table, wish: Columns) -> Columns:
    wished = (wish.text, wish.text_pair, wish.label, wish.group)
    return Columns(*(None if name is None else require(table, name) for name in wished))


def _text_and_pair(table: Table, named: Columns) -> tuple[str, str | None]:
    if named.text is not None:
        return named.text, named.text_pair
    lower = _by_lower(table)
    if (second := named.text_pair) is not None:
        firsts = [lower[a][0] for a, b in PAIR_NAMES if b == second.lower() and a in lower]
        return firsts[0] if firsts else _find(table, TEXT_NAMES, "text", taken=(second,)), second
    pairs = [(lower[first][0], lower[second][0]) for first, second in PAIR_NAMES if first in lower and second in lower]
    if "text" in lower or not pairs:
        return _find(table, TEXT_NAMES, "text", taken=(named.label,)), None
    if len(pairs) > 1:
        listed = " or ".join(f"{first} + {second}" for first, second in pairs)
        raise TaskError(f"{table.source}: the text pair could be {listed}; name it with text= and text_pair=")
    return pairs[0]


def _find(table: Table, ranks: Sequence[str], role: str, taken: Sequence[str | None]) -> str:
    lower = _by_lower(table)
    for rank in ranks:
        columns = [column for name in rank.split() for column in lower.get(name, ()) if column not in taken]
        if len(columns) > 1:
            listed = _list(columns)
            raise TaskError(f"{table.source}: columns {listed} could all hold the {role}; name one with {role}=")
        if columns:
            return columns[0]
    what = f"no column has a usual name of the {role}; its columns are {_list(table.columns)}"
    remedy = f"name one with {role}= (if these are no names, the file lacks its header line)"
    raise TaskError(f"{table.source}: {what}: {remedy}")


def _by_lower(table: Table) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for column in table.columns:
        names.setdefault(column.lower(), []).append(column)
    return names


def _list(names: Iterable[str]) -> str:
    shown = [f"'{name if len(name) <= 40 else name[:37] + '...'}'" for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
