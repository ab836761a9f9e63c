"""Cells of the page's tables: what is shown, what a column sorts by, what stands small underneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenworth.report.displayed_values import clean, duration, number, sentence, shown, tight
from tokenworth.report.pages.depth_charts import layers_text
from tokenworth.report.pages.metric_texts import COLUMNS, DIGITS, FLAGGED
from tokenworth.report.result_protocols import AssessmentLike, RankingLike, Row, ranked

_ENDS = ("_low", "_high", "_chance")


@dataclass(frozen=True, slots=True)
class Cell:
    """``order`` is what a click on the head sorts by; None sorts last whichever way."""

    text: str
    order: float | str | None = None
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


def layer_table(result: AssessmentLike) -> Table:
    """Every column of every layer; intervals and chance levels stand under their value."""
    keys = _columns(result.layers)
    heads = ("Layer", *(COLUMNS.get(key, clean(key).replace("_", " ")) for key in keys))
    rows = (
        TableRow((Cell(str(row["layer"]), row["layer"]), *(_cell(row, key) for key in keys)),
                 best=row["layer"] == result.best_layer)
        for row in result.layers
    )  # fmt: skip
    return Table(heads, tuple(rows))


def _columns(rows: Sequence[Row]) -> list[str]:
    """The known scores in reading order, then whatever else the layers carry."""
    present = dict.fromkeys(key for row in rows for key in row)
    others = [key for key in present if key not in COLUMNS and key != "layer" and not key.endswith(_ENDS)]
    return [key for key in COLUMNS if key in present] + others


def _cell(row: Row, key: str) -> Cell:
    value, digits = row.get(key), DIGITS.get(key, 3)
    if isinstance(value, str):
        return Cell(clean(value), clean(value))
    small = [tight(row.get(f"{key}_low"), row.get(f"{key}_high"), digits)]
    chance = number(row.get(f"{key}_chance"))
    small += [f"chance {shown(chance, digits)}"] if chance is not None else []
    return Cell(shown(value, digits), number(value), tuple(text for text in small if text))


def ranking_rows(ranking: RankingLike) -> Table:
    """One row a backbone, failed ones with their reason; the best and those tied with it are marked."""
    heads = ("Rank", "Backbone", "Best layer", "F1", "Accuracy", "Retained area", "H-score", "LogME",
             "Parameters", "Time")  # fmt: skip
    return Table(heads, tuple(_ranked(row) for row in ranking.rows))


def _ranked(row: Row) -> TableRow:
    name, layer = clean(row.get("name", "")), row.get("best_layer")
    cells = (
        Cell(shown(row.get("rank"), 0), number(row.get("rank"))),
        Cell(name, name.casefold(), tuple(filter(None, [remark(row)]))),
        Cell(shown(layer, 0), number(layer)),
        *(_cell({**row, **ranked(row)}, key) for key in ("f1", "accuracy", "retained_auc", "hscore", "logme")),
        Cell(parameters(row.get("n_parameters")), number(row.get("n_parameters"))),
        Cell(duration(row.get("seconds")), number(row.get("seconds"))),
    )
    return TableRow(cells, best=not row.get("failed") and (row.get("rank") == 1 or tied(row)))


def remark(row: Row) -> str:
    """What is special about a backbone's place: that it failed and why, or that it shares the first place."""
    if row.get("failed"):
        return f"failed: {clean(row['failed'])}"
    return "tied with the best" if tied(row) else ""


def tied(row: Row) -> bool:
    """Within noise of the best without being the best."""
    return bool(row.get("tied")) and row.get("rank") != 1


def parameters(count: object) -> str:
    """A number of parameters as people say it: 14.2 M, 1.3 B."""
    value = number(count)
    if value is None:
        return shown(None)
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return shown(value, 0)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason not to trust a score, with all the layers it holds for."""

    score: str
    where: str
    reason: str


def doubts(result: AssessmentLike) -> list[Doubt]:
    """The flags, those with one reason joined over their layers."""
    grouped: dict[tuple[str, str], list[int | None]] = {}
    for flag in result.flags:
        grouped.setdefault((clean(flag["score"]), sentence(flag["reason"])), []).append(flag.get("layer"))
    return [
        Doubt(FLAGGED.get(score, score.replace("_", " ")), _where(layers), reason)
        for (score, reason), layers in grouped.items()
    ]


def _where(layers: list[int | None]) -> str:
    known = [layer for layer in layers if layer is not None]
    return layers_text(known) if len(known) == len(layers) else "all layers"
