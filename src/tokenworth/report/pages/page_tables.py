"""Tables of the pages: what a cell shows, what its column sorts by, what stands small underneath."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tokenworth.report.displayed_values import clean, duration, number, parameters, shown, tight
from tokenworth.report.pages.panel_words import DIGITS, names_of
from tokenworth.report.result_values import Row, is_tied, rank_figures, reading_at, remark

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment, Ranking

_ENDS = ("_low", "_high", "_chance")


@dataclass(frozen=True, slots=True)
class Cell:
    """``order`` is what a click on the head sorts by; None sorts last whichever way."""

    text: str
    order: Any = None
    small: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row; ``best`` marks it."""

    cells: tuple[Cell, ...]
    best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Heads and rows of a sortable table."""

    heads: tuple[str, ...]
    rows: tuple[TableRow, ...]


Columns = Mapping[str, Callable[[Any], Cell]] | Sequence[tuple[str, Callable[[Any], Cell]]]
"""A head, and the cell of a row under it; pairs where two heads may be alike."""


def table_of(columns: Columns, rows: Iterable[Any], best: Callable[[Any], bool] = lambda _row: False) -> Table:
    """A cell of each column for every row; `best` says which rows are marked."""
    pairs = list(columns.items()) if isinstance(columns, Mapping) else columns
    table_rows = (TableRow(tuple(cell(row) for _, cell in pairs), bool(best(row))) for row in rows)
    return Table(tuple(head for head, _ in pairs), tuple(table_rows))


def word_cell(text: Any, *small: str) -> Cell:
    """A name or a word of the data."""
    return Cell(clean(text), clean(text), small)


def number_cell(value: Any, digits: int = 3, *small: str) -> Cell:
    """A rounded number."""
    return Cell(shown(value, digits), number(value), tuple(filter(None, small)))


def count_cell(count: Any) -> Cell:
    """A whole number."""
    return Cell(f"{count:,}", count)


def value_cell(value: Any) -> Cell:
    """A whole number as one, anything else as a word."""
    return count_cell(value) if isinstance(value, int) else word_cell(value)


def score_cell(row: Row, key: str) -> Cell:
    """A score of a row with its interval and its chance level underneath."""
    value, digits = row.get(key), DIGITS.get(key, 3)
    if isinstance(value, str):
        return word_cell(value)
    chance = number(row.get(f"{key}_chance"))
    by_chance = "" if chance is None else f"chance {shown(chance, digits)}"
    return number_cell(value, digits, tight(row.get(f"{key}_low"), row.get(f"{key}_high"), digits), by_chance)


def layer_table(result: Assessment) -> Table:
    """Every column of every layer: the known scores in reading order, then whatever else the layers carry."""
    present = dict.fromkeys(key for row in result.layers for key in row)
    names = names_of("columns")
    others = [key for key in present if key not in names and key != "layer" and not key.endswith(_ENDS)]
    heads = {key: names.get(key, clean(key).replace("_", " ")) for key in [*names, *others] if key in present}

    def pooling(row: Row) -> list[Cell]:
        return [word_cell(reading_at(result, int(row["layer"])))] if result.poolings else []

    rows = (
        TableRow(
            (Cell(str(row["layer"]), row["layer"]), *pooling(row), *(score_cell(row, key) for key in heads)),
            best=row["layer"] == result.best_layer,
        )
        for row in result.layers
    )
    return Table(("Layer", *(["Pooling"] if result.poolings else []), *heads.values()), tuple(rows))


def ranking_rows(ranking: Ranking) -> Table:
    """One row a backbone, failed ones with their reason; the best and those tied with it are marked."""
    columns: dict[str, Callable[[Row], Cell]] = {
        "Rank": lambda row: number_cell(row.get("rank"), 0),
        "Backbone": _backbone_cell,
        "F1": partial(_ranked_cell, key="f1"),
        "Accuracy": partial(_ranked_cell, key="accuracy"),
        "Best layer": lambda row: number_cell(row.get("best_layer"), 0),
        "Retained area": partial(_ranked_cell, key="retained_auc"),
        "H-score": partial(_ranked_cell, key="hscore"),
        "LogME": lambda row: score_cell(row, "logme"),
        "Parameters": lambda row: Cell(parameters(row.get("n_parameters")), number(row.get("n_parameters"))),
        "Time": lambda row: Cell(duration(row.get("seconds")), number(row.get("seconds"))),
    }
    return table_of(columns, ranking.rows, lambda row: not row.get("failed") and (row.get("rank") == 1 or is_tied(row)))


def _ranked_cell(row: Row, key: str) -> Cell:
    return score_cell({**row, **rank_figures(row)}, key)


def _backbone_cell(row: Row) -> Cell:
    name, said = clean(row.get("name", "")), remark(row)
    return Cell(name, name.casefold(), (said,) if said else ())
