"""Which column holds the text, the second text of a pair, the label and the group: named by the user or found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tokenworth.errors import TaskError
from tokenworth.tasks.table import Table

TEXT_NAMES: tuple[tuple[str, ...], ...] = (
    ("text",),
    ("sentence",),
    (
        "abstract", "body", "comment", "comment_text", "content", "context", "description", "document", "headline",
        "input", "message", "post", "query", "question", "review", "review_body", "review_text", "sms", "title",
        "tweet", "utterance",
    ),
)  # fmt: skip
"""Names of a text column, best first, in upper or lower case; several names of one rank in a table are ambiguous."""

LABEL_NAMES: tuple[tuple[str, ...], ...] = (
    ("label",),
    ("labels",),
    (
        "category", "class", "class_name", "emotion", "gold_label", "intent", "label_name", "label_text", "polarity",
        "rating", "sentiment", "stars", "target", "topic", "y",
    ),
)  # fmt: skip
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
    """Columns as named in `wish`, the others found by name.

    Raises:
        TaskError: a named column is not there, or none or several columns could be meant; the columns there are named.
    """
    wished = (wish.text, wish.text_pair, wish.label, wish.group)
    named = Columns(*(None if name is None else require(table, name) for name in wished))
    text, pair = _text_and_pair(table, named)
    label = named.label or _find(table, LABEL_NAMES, "label", taken=(text, pair))
    if label in (text, pair):
        raise TaskError(
            f"{table.source}: column '{label}' cannot be both text and label; name them with text= and label="
        )
    if pair is not None and pair == text:
        raise TaskError(f"{table.source}: column '{text}' is named as both texts of the pair; name two columns")
    return Columns(text, pair, label, named.group)


def choose_texts(table: Table, wish: Columns) -> Columns:
    """Columns of the text, or the two of a pair, in a table that needs no labels.

    Raises:
        TaskError: as `choose_columns`.
    """
    named = Columns(*(None if name is None else require(table, name) for name in (wish.text, wish.text_pair)))
    return Columns(*_text_and_pair(table, named))


def require(table: Table, name: str) -> str:
    """The table's own spelling of a column (upper and lower case are alike where that is unambiguous)."""
    if name in table.columns:
        return name
    alike = [column for column in table.columns if column.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    near = get_close_matches(name, table.columns, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise TaskError(f"{table.source} has no column '{name}'; its columns are {_listed(table.columns)}{hint}")


def _text_and_pair(table: Table, named: Columns) -> tuple[str, str | None]:
    if named.text is not None:
        return named.text, named.text_pair
    if named.text_pair is not None:
        return _partner(table, named.text_pair), named.text_pair
    lower = _by_lower(table)
    pairs = [(lower[first][0], lower[second][0]) for first, second in PAIR_NAMES if first in lower and second in lower]
    if "text" in lower or not pairs:
        return _find(table, TEXT_NAMES, "text", taken=(named.label,)), None
    if len(pairs) > 1:
        raise TaskError(
            f"{table.source}: the text pair could be {' or '.join(f'{a} + {b}' for a, b in pairs)}; name it with "
            "text= and text_pair="
        )
    return pairs[0]


def _partner(table: Table, second: str) -> str:
    lower = _by_lower(table)
    firsts = [lower[a][0] for a, b in PAIR_NAMES if b == second.lower() and a in lower]
    return firsts[0] if firsts else _find(table, TEXT_NAMES, "text", taken=(second,))


def _find(table: Table, ranks: Sequence[tuple[str, ...]], role: str, taken: Sequence[str | None]) -> str:
    lower = _by_lower(table)
    for rank in ranks:
        found = [column for name in rank for column in lower.get(name, ()) if column not in taken]
        if len(found) > 1:
            raise TaskError(
                f"{table.source}: columns {_listed(found)} could all hold the {role}; name one with {role}="
            )
        if found:
            return found[0]
    raise TaskError(
        f"{table.source}: no column has a usual name of the {role}; its columns are {_listed(table.columns)}: name "
        f"one with {role}= (if these are no names, the file lacks its header line)"
    )


def _by_lower(table: Table) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for column in table.columns:
        names.setdefault(column.lower(), []).append(column)
    return names


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    shown = [f"'{name if len(name) <= 40 else name[:37] + '...'}'" for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
