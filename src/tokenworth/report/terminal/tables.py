"""Tables for the terminal, and the same tables as plain lines for files and pipes."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tokenworth.report.displayed_values import ABSENT, cut, duration, number, shown
from tokenworth.report.pages.page_tables import parameters, remark
from tokenworth.report.result_protocols import AssessmentLike, RankingLike, Row, ranked
from tokenworth.report.terminal.printable import Printable, printable
from tokenworth.report.terminal.printable import console as printable_console

_UNBROKEN = 100_000  # columns of the console that lays out plain text: no table is as wide, so no line is folded


def assessment_table(result: AssessmentLike) -> Table:
    """One line a layer: the scores one looks at first, NTPS as its excess over chance; the best layer is marked."""
    table = plain_table(f"{cut(result.backbone['name'], 60)} on {cut(result.task['name'], 60)}")
    for head in ("layer", *_LAYER_COLUMNS):
        table.add_column(head, justify="right", no_wrap=True)
    for row in result.layers:
        best = row["layer"] == result.best_layer
        cells = [f"{'*' if best else ''}{row['layer']}", *(read(row) for read in _LAYER_COLUMNS.values())]
        table.add_row(*map(Text, cells), style="bold cyan" if best else "")
    table.caption = Text(f"* best layer, by training texts; NTPS- is NTPS minus chance; {ABSENT} no value")
    return table


def ranking_table(ranking: RankingLike) -> Table:
    """One line a backbone, best first; ties within noise and failures are said in the last column."""
    table = plain_table(f"backbones on {cut(ranking.task['name'], 60)}")
    for head, justify in _RANKING_HEADS:
        words = head in ("backbone", "remark")  # a narrow terminal folds these and leaves the numbers whole
        table.add_column(head, justify=justify, no_wrap=not words, overflow="fold")  # type: ignore[arg-type]
    for row in ranking.rows:
        first = not row.get("failed") and row.get("rank") == 1
        table.add_row(
            *map(Text, _ranking_cells(row)), style="bold cyan" if first else "dim" if row.get("failed") else ""
        )
    bow = ranking.baseline or {}
    if number(bow.get("f1")) is not None:
        accuracy = shown(bow.get("accuracy"))
        table.add_row("", Text(cut(bow.get("name", "bag of words"), 40)), "", Text(shown(bow.get("f1"))), accuracy)
    return table


def plain_text(renderable: RenderableType) -> str:
    """The renderable without colour or styles: one line a row however wide, no blanks at line ends."""
    out = io.StringIO()
    console = Console(file=out, width=_UNBROKEN, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(renderable, soft_wrap=isinstance(renderable, str | Text), markup=False, highlight=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def show(renderable: RenderableType, console: Console | None = None) -> None:
    """Prints to a terminal as rich does, and to anything else as plain unwrapped lines."""
    console = console or printable_console()
    if console.is_terminal:
        console.print(Printable(renderable), markup=False, highlight=False)
    else:
        console.file.write(printable(plain_text(renderable)))


def rows_table(rows: Sequence[Row], right: Collection[str] = ()) -> Table:
    """A table whose columns are the first row's keys; numbers of the columns in `right` align."""
    table = Table(box=None, pad_edge=False)
    for head in rows[0]:
        table.add_column(head, justify="right" if head in right else "left")
    for row in rows:
        table.add_row(*(Text(str(row.get(head) or "")) for head in rows[0]))
    return table


def plain_table(title: str) -> Table:
    """An empty table in the terminal's look."""
    return Table(
        title=Text(title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip


def _column(key: str, digits: int = 3) -> Callable[[Row], str]:
    return lambda row: shown(row.get(key), digits)


def _excess(row: Row) -> str:
    value, chance = number(row.get("ntps")), number(row.get("ntps_chance"))
    return ABSENT if value is None or chance is None else f"{value - chance:+.3f}"


_LAYER_COLUMNS: dict[str, Callable[[Row], str]] = {
    "acc": _column("probe_accuracy"),
    "F1": _column("probe_f1"),
    "kNN": _column("knn_accuracy"),
    "retained": _column("retained_auc"),
    "k90": _column("k90", 0),
    "NTPS-": _excess,
    "AR R2": _column("ar_r2"),
    "H-score": _column("hscore"),
    "LogME": _column("logme"),
}

_RANKING_HEADS = (
    ("rank", "right"), ("backbone", "left"), ("layer", "right"), ("F1", "right"), ("acc", "right"),
    ("retained", "right"), ("H-score", "right"), ("LogME", "right"), ("params", "right"), ("time", "right"),
    ("remark", "left"),
)  # fmt: skip


def _ranking_cells(row: Row) -> list[str]:
    figures = {**row, **ranked(row)}
    scores = (shown(figures.get(key)) for key in ("f1", "accuracy", "retained_auc", "hscore", "logme"))
    return [
        shown(row.get("rank"), 0),
        cut(row.get("name", ""), 60),
        shown(row.get("best_layer"), 0),
        *scores,
        parameters(row.get("n_parameters")),
        duration(row.get("seconds")),
        remark(row),
    ]
