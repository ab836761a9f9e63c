"""The front door of the pages and tables: which kind of result has which, and where a page is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.report.pages import result_pages as pages
from tokenworth.report.pages.rendering import write_page
from tokenworth.report.result_values import doubts
from tokenworth.report.story import Story
from tokenworth.report.terminal import tables
from tokenworth.report.terminal.story_table import story_table

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.corpus.output.build_report import CorpusReport
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainPage
    from tokenworth.study.layer_and_k import Choice
    from tokenworth.study.published_relations import Relation
    from tokenworth.tracing import Trace

    Shown = Assessment | Ranking | AdaptResult | Decision | PretrainPage | Story | Trace


class View(NamedTuple):
    """How a kind of result is shown."""

    page: Callable[[Any], str]
    table: Callable[[Any], Table] | None = None
    warnings: Callable[[Any], Sequence[str]] = lambda _: ()
    """What is to be doubted of it, a sentence each."""


@cache
def views() -> dict[type, View]:
    """By kind of result; the kinds are imported when the first one is shown, as heavy libraries come with them."""
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainPage
    from tokenworth.tracing import Trace

    return {
        Assessment: View(pages.assessment_page, tables.assessment_table, _doubts),
        Ranking: View(pages.ranking_page, tables.ranking_table),
        AdaptResult: View(pages.adapt_page, tables.adapt_table),
        Decision: View(pages.decision_page, tables.decision_table, attrgetter("warnings")),
        Trace: View(pages.trace_page, tables.trace_table, attrgetter("notes")),
        PretrainPage: View(pages.pretrain_page),
        Story: View(pages.story_page, story_table),
    }


@known_keywords
def write_report(result: Shown, path: str | Path) -> Path:
    """Writes the page of an Assessment, a Ranking, an AdaptResult, a Decision, a PretrainPage, a Story or a
    Trace.

    The parent folder is made when missing. The page is written beside its final name and renamed, so that an
    interrupted run leaves no half page. About 5 MB, most of it the charts' library.

    Raises:
        SettingError: ``result`` is none of these.
        TokenworthError: the file cannot be written; the message names it and the reason.
    """
    view = _view(result)
    if view is None:
        raise SettingError(
            f"write_report was given a {type(result).__name__}; give it what assess(), rank(), adapt(), decide() or "
            "trace() returned"
        )
    return write_page(view.page(result), Path(path))


def result_table(result: Shown) -> Table:
    """The table of the terminal."""
    view = _view(result)
    assert view is not None, f"{type(result).__name__} is no result"
    assert view.table is not None, f"{type(result).__name__} has no table"
    return view.table(result)


def lines_below(result: Shown) -> list[str]:
    """What a terminal shows below the table: what the result says, and what is to be doubted."""
    view = _view(result)
    assert view is not None, f"{type(result).__name__} is no result"
    sentences: Sequence[str] = getattr(result, "sentences", ())
    return [*(f"- {sentence}" for sentence in sentences), *(f"! {warning}" for warning in view.warnings(result))]


def _doubts(result: Assessment) -> list[str]:
    return [f"{doubt.score}, {doubt.where}: {doubt.reason}" for doubt in doubts(result)]


def _view(result: object) -> View | None:
    return next((view for kind, view in views().items() if isinstance(result, kind)), None)


def write_study_page(
    name: str,
    table: Any,
    routes: Any,
    means: Any,
    relations: Sequence[Relation],
    path: str | Path,
    *,
    choices: Sequence[Choice] = (),
    metric: str = "weighted_f1",
) -> Path:
    """Writes the page of a study and returns its path.

    `table` has one row a cell, as `cell_table` makes it; `routes` a metric by task, backbone and route, `means` the
    same over tasks; `relations` are figures against figures, `choices` layers and k chosen for a figure; `metric` is
    what routes are compared by, a column of `table`.

    Raises:
        TokenworthError: the file cannot be written.
    """
    return write_page(pages.study_page(name, table, routes, means, relations, choices, metric), Path(path))


def write_corpus_page(report: CorpusReport, path: str | Path) -> Path:
    """Writes the page of a corpus, given what report.json of a build holds, and returns its path.

    Raises:
        TokenworthError: the file cannot be written.
    """
    return write_page(pages.corpus_page(report), Path(path))
