"""The front door of the pages: which page a result has, and where it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenworth.errors import SettingError
from tokenworth.report.pages.rendering import write_page
from tokenworth.report.pages.run_pages import corpus_page, pretrain_page, study_page, trace_page
from tokenworth.report.pages.task_pages import adapt_page, assessment_page, decision_page, ranking_page
from tokenworth.report.result_protocols import (
    AdaptLike,
    AssessmentLike,
    ChoiceLike,
    DecisionLike,
    PretrainLike,
    RankingLike,
    RelationLike,
    Row,
    TraceLike,
)

_PAGES: dict[str, Callable[[Any], str]] = {
    "journal": pretrain_page,
    "options": decision_page,
    "checkpoints": trace_page,
    "assessments": ranking_page,
    "route": adapt_page,
    "layers": assessment_page,
}
"""By a field that only such a result has."""


def write_report(
    result: AssessmentLike | RankingLike | AdaptLike | DecisionLike | PretrainLike | TraceLike, path: str | Path
) -> Path:
    """Writes the page of an Assessment, a Ranking, an AdaptResult, a Decision, a PretrainPage or a Trace.

    The parent folder is made when missing. The page is written beside its final name and renamed, so that an
    interrupted run leaves no half page. About 5 MB, most of it the charts' library.

    Raises:
        SettingError: ``result`` is none of these.
        TokenworthError: the file cannot be written; the message names it and the reason.
    """
    make = next((make for name, make in _PAGES.items() if hasattr(result, name)), None)
    if make is None:
        raise SettingError(
            f"write_report was given a {type(result).__name__}; give it what assess(), rank(), adapt(), decide() or "
            "trace() returned"
        )
    return write_page(make(result), Path(path))


def write_study_page(
    name: str,
    table: Any,
    routes: Any,
    means: Any,
    relations: Sequence[RelationLike],
    path: str | Path,
    *,
    choices: Sequence[ChoiceLike] = (),
) -> Path:
    """Writes the page of a study and returns its path.

    Args:
        name: of the study.
        table: one row a cell, as `cell_table` makes it.
        routes: a metric by task, backbone and route.
        means: over tasks, by backbone.
        relations: figures against figures.
        path: where to write.
        choices: layers and k chosen for a figure, and what their correlations are worth.

    Raises:
        TokenworthError: the file cannot be written.
    """
    return write_page(study_page(name, table, routes, means, relations, choices), Path(path))


def write_corpus_page(report: Row, path: str | Path) -> Path:
    """Writes the page of a corpus and returns its path.

    Args:
        report: what report.json of a build holds.
        path: where to write.

    Raises:
        TokenworthError: the file cannot be written.
    """
    return write_page(corpus_page(report), Path(path))
