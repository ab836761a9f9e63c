"""Which column holds the text, the second text of a pair, the label and the group: named by the user or found."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

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


_LOOKED_AT = 50
"""Values of a column, and columns, in which texts are looked for."""
_SENTENCE = 20
"""Characters from which values, in the mean, look like texts."""


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
    text, pair = _text_and_pair(table, named, labelled=named.label is None)
    label = named.label or _find(table, LABEL_NAMES, "label", taken=(text, pair))
    if label in (text, pair):
        remedy = "name them with --text and --label (in Python text= and label=)"
        what = f"column '{label}' cannot be both text and label; {remedy}"
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


def _text_and_pair(table: Table, named: Columns, *, labelled: bool = False) -> tuple[str, str | None]:
    if named.text is not None:
        return named.text, named.text_pair
    lower = _by_lower(table)
    if (second := named.text_pair) is not None:
        firsts = [lower[a][0] for a, b in PAIR_NAMES if b == second.lower() and a in lower]
        return firsts[0] if firsts else _find(table, TEXT_NAMES, "text", taken=(second,)), second
    pairs = [(lower[first][0], lower[second][0]) for first, second in PAIR_NAMES if first in lower and second in lower]
    if "text" in lower or not pairs:
        return _find(table, TEXT_NAMES, "text", taken=(named.label,), labelled=labelled), None
    if len(pairs) > 1:
        listed = " or ".join(f"{first} + {second}" for first, second in pairs)
        names = "--text and --text-pair (in Python text= and text_pair=)"
        raise TaskError(f"{table.source}: the text pair could be {listed}; name it with {names}")
    return pairs[0]


def _find(table: Table, ranks: Sequence[str], role: str, taken: Sequence[str | None], *, labelled: bool = False) -> str:
    """The column of a role; where a label will be asked for next and has no usual name either, the error says so."""
    lower = _by_lower(table)
    for rank in ranks:
        columns = _named(lower, rank, taken)
        if len(columns) > 1:
            listed, option = _list(columns), f"--{role} (in Python {role}=)"
            raise TaskError(f"{table.source}: columns {listed} could all hold the {role}; name one with {option}")
        if columns:
            return columns[0]
    roles = [role]
    if labelled and not any(_named(lower, rank, ()) for rank in LABEL_NAMES):
        roles.append("label")
    what = f"no column has a usual name of the {' or of the '.join(roles)}; its columns are {_list(table.columns)}"
    such = f", such as --text {shlex.quote(longest)}" if role == "text" and (longest := _longest(table)) else ""
    options = " and ".join(f"--{one} (in Python {one}=)" for one in roles)
    remedy = f"name {'them' if roles[1:] else 'one'} with {options}{such}"
    raise TaskError(f"{table.source}: {what}: {remedy} (if these are no names, the file lacks its header line)")


def _named(lower: dict[str, list[str]], rank: str, taken: Sequence[str | None]) -> list[str]:
    return [column for name in rank.split() for column in lower.get(name, ()) if column not in taken]


def _longest(table: Table) -> str | None:
    """The column that most looks like texts: the longest of its first values, where they are sentences."""
    lengths = {
        name: sum(len(value) for value in values[:_LOOKED_AT] if isinstance(value, str))
        for name, values in islice(table.columns.items(), _LOOKED_AT)
    }
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    enough = longest is not None and lengths[longest] >= _SENTENCE * min(_LOOKED_AT, len(table))
    return longest if enough and longest is not None and len(longest) <= _SENTENCE * 2 else None


def _by_lower(table: Table) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for column in table.columns:
        names.setdefault(column.lower(), []).append(column)
    return names


def _list(names: Iterable[str]) -> str:
    shown = [f"'{name if len(name) <= 40 else name[:37] + '...'}'" for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
