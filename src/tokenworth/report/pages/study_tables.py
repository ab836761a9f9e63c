"""A study in words and tables: what each route reached beside the bag of words, and every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenworth.adaptation.route_names import ROUTES, route_title
from tokenworth.report.displayed_values import capital, clean, number, short, shown, tight
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, number_cell, table_of, word_cell
from tokenworth.report.pages.panel_words import names_of
from tokenworth.report.result_values import Row

if TYPE_CHECKING:
    from tokenworth.study.layer_and_k import Choice
    from tokenworth.study.published_relations import Relation


class Standing(NamedTuple):
    """A route of a study on the tasks that it shares with the bag of words."""

    route: str
    mean: float
    words: float | None
    """The bag of words' mean on the same tasks; None where no task has one."""
    tasks: int
    ahead: int
    """Tasks on which the mean over its cells is better than the bag of words."""
    less: bool = False
    """Whether less is better."""

    @property
    def is_behind(self) -> bool:
        """Whether the bag of words has as good a mean, or a better one."""
        if self.words is None:
            return False
        return self.words <= self.mean if self.less else self.words >= self.mean

    def sentence(self, metric: str) -> str:
        """In words."""
        tasks = f"{self.tasks} task{'s' * (self.tasks != 1)}"
        begin = f"{capital(route_title(self.route))}: mean {metric} {self.mean:.3f}"
        if self.words is None:
            return f"{begin} over {tasks}; no bag of words was run, so this cannot be judged."
        return (
            f"{begin} over {tasks}, where a bag of words has {self.words:.3f}; ahead on {self.ahead} of {self.tasks}."
        )


def standings(table: Any, metric: str) -> list[Standing]:
    """Every route but the bag of words, the best first: means over backbones, settings and seeds, then over tasks."""
    from tokenworth.study.results_table import less_is_better

    if metric not in table:
        return []
    done = table[(table["state"] == "finished") & table[metric].notna()]
    by_task = done.groupby(["route", "task"])[metric].mean()
    words = by_task.get("bow")
    routes, less = [route for route in ROUTES if route in by_task and route != "bow"], less_is_better(metric)
    found = [_standing(route, by_task[route], words, less=less) for route in routes]
    return sorted(found, key=lambda one: one.mean, reverse=not less)


def _standing(route: str, reached: Any, words: Any, *, less: bool) -> Standing:
    shared = reached.index if words is None else reached.index.intersection(words.index)
    if words is None or not len(shared):
        return Standing(route, float(reached.mean()), None, len(reached), 0, less)
    mean, compared = float(reached[shared].mean()), float(words[shared].mean())
    ahead = (reached[shared] < words[shared]) if less else (reached[shared] > words[shared])
    return Standing(route, mean, compared, len(shared), int(ahead.sum()), less)


def metric_name(metric: str) -> str:
    """weighted F1, of weighted_f1."""
    return names_of("route_metrics").get(metric, metric.replace("_", " "))


def study_says(table: Any, metric: str) -> str:
    """The head of the page: the best route beside the bag of words, which comes first where it is ahead."""
    best = next(iter(standings(table, metric)), None)
    if best is None:
        return "no route that learns is finished"
    route, figure = route_title(best.route), f"mean {metric_name(metric)}"
    if best.is_behind:
        return f"a bag of words wins, {figure} {best.words:.3f}; of backbones the best is {route}, {best.mean:.3f}"
    words = "" if best.words is None else f", a bag of words {best.words:.3f}"
    return f"the best route of a backbone is {route}, {figure} {best.mean:.3f}{words}"


def study_sentences(table: Any, metric: str) -> list[str]:
    """One a route."""
    said = [standing.sentence(metric_name(metric)) for standing in standings(table, metric)]
    return said or ["No route beside the bag of words is finished yet; tokenworth study status says what is missing."]


def frame_rows(frame: Any) -> Table:
    """A pandas table for the page: numbers sort as numbers, the best of a row's routes is not marked."""
    columns = [
        (column_head(str(column)), lambda row, place=place: _frame_cell(row[place]))
        for place, column in enumerate(frame.columns)
    ]
    return table_of(columns, _whole_numbers(frame).itertuples(index=False))


def column_head(column: str) -> str:
    """What a column of a study is called on a page."""
    words = {**{name: route_title(name) for name in ROUTES}, **names_of("columns"), **names_of("route_metrics")}
    first, _, rest = column.removeprefix("setting ").partition(" ")
    words = {**words, "published": f"{words.get(rest, rest)}, published"}
    named = words.get(column) or (words[first] if first == "published" else column.removeprefix("setting "))
    return capital(named.replace("_", " "))


def _whole_numbers(frame: Any) -> Any:
    """Counts that stand as decimals because some rows have none, as whole numbers: 64, not 64.000."""
    settings = [name for name in frame.columns if str(name).startswith("setting ") and frame[name].dtype.kind == "f"]
    whole = [name for name in settings if (frame[name].dropna() % 1 == 0).all()]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _frame_cell(value: Any) -> Cell:
    if isinstance(value, str):
        return word_cell(value)
    known = number(value)
    whole = isinstance(value, int) or (getattr(value, "dtype", None) is not None and value.dtype.kind == "i")
    return Cell(f"{known:,.0f}", known) if whole and known is not None else number_cell(known)


def cell_rows(table: Any) -> Table:
    """Every cell without its intervals."""
    columns = [column for column in table.columns if not str(column).endswith(("_low", "_high")) and column != "key"]
    columns += ["key"] if "key" in table.columns else []  # the name of a file, for those who look for it
    return frame_rows(table[columns].dropna(axis=1, how="all"))


def study_cards(table: Any) -> list[Card]:
    """How far it is, and what it is made of."""
    states = table["state"].value_counts().to_dict()
    unfinished = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    finished = (f"of {sum(states.values())}", *unfinished)
    kinds = {"Tasks": "task", "Backbones": "backbone", "Routes": "route", "Seeds": "seed"}
    return [
        Card("Cells finished", f"{states.get('finished', 0)}", finished, accent=True),
        *(Card(name, str(len(set(table[column].dropna())))) for name, column in kinds.items()),
    ]


def _p_cell(value: float) -> Cell:
    return Cell(f"{value:.2g}", value)


def statistics_table(relations: Sequence[Relation]) -> Table:
    """Every correlation with its p-value and interval."""
    columns = {
        "Relation": lambda row: Cell(row["title"], row["title"]),
        "Source": lambda row: Cell(row["source"], row["source"]),
        "Backbone": lambda row: Cell(clean(short(row["backbone"])), clean(row["backbone"])),
        "Points": lambda row: Cell(str(row["n"]), row["n"]),
        "r": lambda row: number_cell(row["r"], 2),
        "95 %": _interval_cell,
        "p": lambda row: _p_cell(row["p"]),
    }
    rows = ({**row, "title": relation.title} for relation in relations for row in relation.statistics)
    return table_of(columns, rows)


def _interval_cell(row: Row) -> Cell:
    return Cell(tight(row["low"], row["high"], 2) + (" (of R2)" if "r2" in row else ""), number(row["low"]))


def choices_table(choices: Sequence[Choice]) -> Table:
    """Layers and k chosen for a figure, with r and p as published and as they ought to be."""
    columns = {
        "Figure": lambda choice: Cell(clean(choice.figure), choice.figure),
        "Backbone": lambda choice: Cell(clean(short(choice.backbone)), clean(choice.backbone)),
        "Tasks": lambda choice: Cell(str(choice.tasks), choice.tasks),
        "Layer": lambda choice: Cell(str(choice.layer), choice.layer),
        "k": lambda choice: Cell(shown(choice.share, 2), choice.share),
        "r": lambda choice: Cell(shown(choice.r, 2), choice.r),
        "p as published": lambda choice: _p_cell(choice.p),
        "p, choosing counted": lambda choice: _p_cell(choice.p_chosen),
        "r elsewhere": lambda choice: Cell(shown(choice.r_elsewhere, 2), choice.r_elsewhere),
    }
    return table_of(columns, choices)
