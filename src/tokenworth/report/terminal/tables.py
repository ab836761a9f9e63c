"""Results as tables of the terminal, and the same tables as plain lines for files and pipes."""

from __future__ import annotations

import io
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tokenworth.base.keywords import known_keywords
from tokenworth.report.displayed_values import (
    ABSENT,
    cut,
    duration,
    flops_text,
    money_text,
    number,
    parameters,
    shown,
    tight,
    tokens_text,
)
from tokenworth.report.pages.panel_words import names_of, route_metric_names
from tokenworth.report.result_values import (
    ANSWERS,
    ROUTES,
    Row,
    crossing_flops,
    crossing_range,
    is_advised,
    kept_out,
    last_row,
    metric_word,
    rank_figures,
    reading_at,
    remark,
)
from tokenworth.report.terminal.printable import Printable, printable
from tokenworth.report.terminal.printable import console as printable_console

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.decision import Decision
    from tokenworth.tracing import Trace
    from tokenworth.tracing.trace_result import TaskEntry

_UNBROKEN = 100_000  # columns of the console that lays out plain text: no table is as wide, so no line is folded
BEST = "bold cyan"
_LAYER_SCORES = ("probe_accuracy", "probe_f1", "knn_accuracy", "retained_auc"), ("ar_r2", "hscore", "logme")
_SCORES = {"F1": "f1", "acc": "accuracy", "retained": "retained_auc", "H-score": "hscore", "LogME": "logme"}


def plain_text(renderable: RenderableType) -> str:
    """The renderable without colour or styles: one line a row however wide, no blanks at line ends."""
    out = io.StringIO()
    console = Console(file=out, width=_UNBROKEN, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(renderable, soft_wrap=isinstance(renderable, str | Text), markup=False, highlight=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


@known_keywords
def show(renderable: RenderableType, console: Console | None = None) -> None:
    """Prints to a terminal as rich does, and to anything else as plain unwrapped lines."""
    console = console or printable_console()
    if console.is_terminal:
        console.print(Printable(renderable), markup=False, highlight=False)
    else:
        console.file.write(printable(plain_text(renderable)))


def rows_table(rows: Sequence[dict[str, Any]], right: Collection[str] = ()) -> Table:
    """A table whose columns are the first row's keys; numbers of the columns in `right` align."""
    table = Table(box=None, pad_edge=False)
    for head in rows[0]:
        table.add_column(head, justify="right" if head in right else "left")
    for row in rows:
        add_cells(table, [str(row.get(head) or "") for head in rows[0]])
    return table


def plain_table(
    title: str, heads: Iterable[str] = (), *, left: Container[str] = (), folded: Container[str] = (), caption: str = ""
) -> Table:
    """An empty table in the terminal's look.

    Args:
        title: above it.
        heads: of its columns, which hold numbers and stand on the right.
        left: heads of words, which stand on the left.
        folded: heads of words that a narrow terminal folds, so that numbers stay whole.
        caption: below it.
    """
    table = Table(
        title=Text(title),
        title_justify="left",
        caption=Text(caption) if caption else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    overflow = "fold" if folded else "ellipsis"
    for head in heads:
        side = "left" if head in left else "right"
        table.add_column(head, justify=side, no_wrap=head not in folded, overflow=overflow)  # type: ignore[arg-type]
    return table


def add_cells(table: Table, cells: Iterable[str], style: str = "") -> None:
    """A row of texts, in which nothing is markup."""
    table.add_row(*map(Text, cells), style=style)


def assessment_table(result: Assessment) -> Table:
    """One line a layer: the scores one looks at first, NTPS as its excess over chance; the best layer is marked."""
    reading = reading_at(result, result.best_layer)
    read_as = f" ({reading})" if reading else ""
    heads = ("layer", "acc", "F1", "kNN", "retained", "k90", "NTPS-", "AR R2", "H-score", "LogME")
    table = plain_table(
        f"{cut(result.backbone['name'], 60)} on {cut(result.task['name'], 60)}",
        heads,
        caption=f"* best layer{read_as}, by training texts; NTPS- is NTPS minus chance; {ABSENT} no value",
    )
    for row in result.layers:
        best = row["layer"] == result.best_layer
        before, after = ([shown(row.get(key)) for key in keys] for keys in _LAYER_SCORES)
        cells = [f"{'*' if best else ''}{row['layer']}", *before, shown(row.get("k90"), 0), _excess(row), *after]
        add_cells(table, cells, BEST if best else "")
    return table


def _excess(row: Row) -> str:
    value, chance = number(row.get("ntps")), number(row.get("ntps_chance"))
    return ABSENT if value is None or chance is None else f"{value - chance:+.3f}"


def ranking_table(ranking: Ranking) -> Table:
    """One line a backbone, best first; ties within noise and failures are said in the last column."""
    words = ("backbone", "remark")
    heads = ("rank", "backbone", "layer", *_SCORES, "params", "time", "remark")
    table = plain_table(f"backbones on {cut(ranking.task['name'], 60)}", heads, left=words, folded=words)
    for row in ranking.rows:
        figures = {**row, **rank_figures(row)}
        scores = (shown(figures.get(key)) for key in _SCORES.values())
        size, time = parameters(row.get("n_parameters")), duration(row.get("seconds"))
        place = (shown(row.get("rank"), 0), cut(row.get("name", ""), 60), shown(row.get("best_layer"), 0))
        style = "dim" if row.get("failed") else BEST if row.get("rank") == 1 else ""
        add_cells(table, (*place, *scores, size, time, remark(row)), style)
    bow: Row = ranking.baseline
    if number(bow.get("f1")) is not None:
        name = cut(bow.get("name", "bag of words"), 40)
        add_cells(table, ("", name, "", shown(bow.get("f1")), shown(bow.get("accuracy"))))
    return table


def adapt_table(result: AdaptResult) -> Table:
    """One line a metric: test split with its interval, and training texts."""
    backbone = f", {cut(result.backbone['name'], 50)}" if result.backbone else ""
    title = f"{result.made_by}{backbone} on {cut(result.task['name'], 50)}"
    table = plain_table(title, ("metric", "test", "95 %", "train"), left=("metric", "95 %"))
    for name, words in route_metric_names(result).items():
        between = tight(result.metrics.get(f"{name}_low"), result.metrics.get(f"{name}_high"))
        cells = (words, shown(result.metrics.get(name)), between, shown(result.train_metrics.get(name)))
        add_cells(table, cells, BEST if name == result.settings.get("metric") else "")
    return table


def frame_table(frame: Any) -> Table:
    """A pandas table: names to the left, numbers with three decimals to the right."""
    table = plain_table("")
    table.title = None  # a title would be folded to the width of a narrow table
    filled = frame.loc[:, [bool((frame[column].astype(str) != "").any()) for column in frame.columns]]
    for column in filled.columns:
        numeric = filled[column].dtype.kind == "f"
        table.add_column(str(column).removeprefix("setting "), justify="right" if numeric else "left", overflow="fold")
    for row in filled.itertuples(index=False):
        add_cells(table, map(_frame_cell, row))
    return table


def _frame_cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else shown(value)


def comparison_table(rows: Sequence[Row], metric: str) -> Table:
    """One line a run; the tests are against the first."""
    names, figures = ("run", "route", "backbone"), (names_of("route_metrics").get(metric, metric), "95 %")
    heads = (*names, *figures, "F1 - first", "95 %", "p", "FLOPs", "time")
    caption = "p: McNemar's exact test that this run and the first err on equally many texts"
    table = plain_table("runs compared with the first", heads, left=names, folded=("run", "backbone"), caption=caption)
    for row in rows:
        change = f"{row['f1_difference']:+.3f}", f"{row['f1_difference_low']:+.3f} to {row['f1_difference_high']:+.3f}"
        against = ("", "", "") if row is rows[0] else (*change, f"{row['p_value']:.2g}")
        between = tight(row[f"{metric}_low"], row[f"{metric}_high"])
        names = (cut(row["run"], 60), row["route"], cut(row["backbone"] or ABSENT, 40))
        flops = f"{row['train_flops']:.1e}" if row["train_flops"] else ABSENT
        add_cells(table, (*names, shown(row[metric]), between, *against, flops, duration(row["seconds"])))
    return table


def decision_table(decision: Decision) -> Table:
    """One line a route, best expected F1 first; the advised one is marked."""
    money = any(number(row.get("money")) is not None for row in decision.options)
    names, costs = ("", "route", "backbone"), ("FLOPs", "time", "a million predictions", "learns")
    heads = (*names, metric_word(decision), "90 %", "left", "", *costs, *(("price", "of a million") if money else ()))
    title = f"routes for {cut(decision.task['name'], 60)}"
    caption = (
        "* advised; left: expected where the better of a run and what was measured is kept; measured: run with the "
        "assessment; predicted: from finished cells of studies"
    )
    table = plain_table(title, heads, left=names, folded=("backbone",), caption=caption)
    for row in decision.options:
        advised = is_advised(decision, row)
        cells = [
            "*" if advised else "",
            *_option_cells(row),
            *map(money_text, map(row.get, ("money", "million_money") if money else ())),
        ]
        add_cells(table, cells, BEST if advised else "" if row["affordable"] else "dim")
    return table


def _option_cells(row: Row) -> Iterator[str]:
    yield row["route"]
    yield cut(row["model"] or ABSENT, 40)
    yield shown(row["f1"])
    yield tight(row["f1_low"], row["f1_high"])
    yield shown(row.get("f1_kept"))
    yield ", ".join((row["source"], *kept_out(row)))
    yield flops_text(row["flops"])
    yield duration(row["seconds"])
    yield duration(row["million_seconds"])
    yield parameters(row["trainable"]) if row["trainable"] else ABSENT


def trace_table(trace: Trace) -> Table:
    """One line a task: the answer, after how many tokens, and F1 at the end of the run."""
    words = ("task", "worth it")
    table = plain_table(
        f"perception along {cut(trace.run['name'], 60)}, {tokens_text(trace.run['tokens'])} tokens",
        (*words, "route", "tokens", "95 %", "FLOPs", "probe", "LoRA", "bow", "scratch"),
        left=words,
        folded=words,
        caption="F1 at the end of the run; tokens: from where on the route stays above bow and scratch",
    )
    for task in trace.tasks:
        add_cells(table, _task_cells(trace, task))
    return table


def _task_cells(trace: Trace, task: TaskEntry) -> Iterator[str]:
    verdict, end = task["verdict"], last_row(trace, task)
    yield cut(task["name"], 40)
    yield ANSWERS[verdict["answer"]]
    yield ROUTES[verdict["route"]]
    yield "never" if verdict["state"] == "never" else tokens_text(verdict["tokens"])
    yield crossing_range(verdict)
    yield crossing_flops(trace, verdict)
    for route in ("probe", "lora", "bow", "scratch"):
        yield shown(end[f"{route}_f1"])
