"""Figures of a study, and its page with all tables, beside the published numbers."""

from __future__ import annotations

from pathlib import Path

from tokenworth.errors import TokenworthError
from tokenworth.report.pages.study_charts import save_figures
from tokenworth.report.report_page import write_study_page
from tokenworth.study import beside_published, by_route, choose, chosen_relations, relations, row_means, sweeps
from tokenworth.study.study_view import StudyView


def write_figures(view: StudyView, metric: str) -> tuple[list[Path], Path]:
    """The figures and the page that were written into the study's folder.

    Raises:
        TokenworthError: no cell is finished.
    """
    place, table = view.place, view.table
    if "weighted_f1" not in table:
        raise TokenworthError(f"no cell of {view.name} is finished in {place}; run tokenworth study run first")
    grids = sweeps(view.study, place, table)
    choices = [choose(grid) for grid in grids]
    drawn = [*relations(table), *chosen_relations(grids, choices)]
    figures = save_figures(drawn, place / "figures")
    routes = beside_published(table) if metric == "weighted_f1" else by_route(table, metric)
    means, path = row_means(table, metric), place / "report.html"
    return figures, write_study_page(view.name, table, routes, means, drawn, path, choices=choices, metric=metric)
