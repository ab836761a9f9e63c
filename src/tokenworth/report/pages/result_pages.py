"""The pages: which template shows a result, under which title, and with which charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.adapt_charts as adapted
import tokenworth.report.pages.cards as cards
import tokenworth.report.pages.class_charts as classes
import tokenworth.report.pages.corpus_charts as corpora
import tokenworth.report.pages.decision_charts as decided
import tokenworth.report.pages.depth_charts as depth
import tokenworth.report.pages.interval_charts as intervals
import tokenworth.report.pages.layer_curves as curves
import tokenworth.report.pages.page_tables as tables
import tokenworth.report.pages.pooling_charts as poolings
import tokenworth.report.pages.pretraining_charts as pretrained
import tokenworth.report.pages.story_tables as stories
import tokenworth.report.pages.study_charts as studies
import tokenworth.report.pages.trace_charts as trace_charts
import tokenworth.report.pages.trace_tables as trace_tables
import tokenworth.report.result_values as result_values
from tokenworth.report.displayed_values import clean, short
from tokenworth.report.pages.panel_words import names_of, route_metric_names
from tokenworth.report.pages.rendering import render

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.corpus.output.build_report import CorpusReport
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainPage
    from tokenworth.report.story import Story
    from tokenworth.study.layer_and_k import Choice
    from tokenworth.study.published_relations import Relation
    from tokenworth.tracing import Trace

_SCORES = {
    "cards": cards,
    "depth": depth,
    "intervals": intervals,
    "tables": tables,
    "doubts_of": result_values.doubts,
}


def assessment_page(result: Assessment) -> str:
    """An Assessment."""
    names = {"task": clean(result.task["name"]), "backbone": short(result.backbone["name"], 1)}
    title = "{task} × {backbone}".format(**names)  # noqa: RUF001
    return render(
        "assessment.html.j2",
        title,
        result=result,
        classes=classes,
        curves=curves,
        poolings=poolings,
        **_SCORES,
        **names,
    )


def ranking_page(ranking: Ranking) -> str:
    """A Ranking."""
    task = clean(ranking.task["name"])
    return render("ranking.html.j2", f"{task}: backbones compared", ranking=ranking, task=task, **_SCORES)


def adapt_page(result: AdaptResult) -> str:
    """An AdaptResult."""
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1) if result.backbone else ""
    what = f"{result.made_by}, {backbone}" if backbone else result.made_by
    kicker = names_of("route_kickers").get(result.route, "")
    words = {"metric_names": route_metric_names(result), "diagnosed": names_of("diagnosed_scores"), "kicker": kicker}
    names = {"task": task, "what": what, **words}
    title = f"{task} × {what}"  # noqa: RUF001
    return render("adapt.html.j2", title, result=result, adapted=adapted, classes=classes, **names)


def decision_page(decision: Decision) -> str:
    """A Decision."""
    task = clean(decision.task["name"])
    return render("decision.html.j2", f"{task}: which route to take", decision=decision, task=task, decided=decided)


def pretrain_page(page: PretrainPage) -> str:
    """A PretrainPage."""
    return render("pretrain.html.j2", "Pretraining", page=page, pretrained=pretrained)


def trace_page(trace: Trace) -> str:
    """A Trace."""
    name = clean(trace.run["name"])
    title = f"{name}: perception along pretraining"
    return render(
        "trace.html.j2", title, trace=trace, name=name, charts=trace_charts, tables=trace_tables, said=result_values
    )


def story_page(story: Story) -> str:
    """A Story."""
    names = {"task": clean(story.ranking.task["name"])}
    parts: dict[str, Any] = {"charts": decided, "classes": classes, "stories": stories}
    return render("story.html.j2", "{task}: is it worth it?".format(**names), story=story, **parts, **_SCORES, **names)


def study_page(
    name: str, table: Any, routes: Any, means: Any, relations: Sequence[Relation], choices: Sequence[Choice]
) -> str:
    """A study."""
    parts = {"table": table, "routes": routes, "means": means, "relations": relations, "choices": choices}
    return render("study.html.j2", name, name=clean(name), studies=studies, **parts)


def corpus_page(report: CorpusReport) -> str:
    """A corpus."""
    return render("corpus.html.j2", clean(report["name"]), report=report, corpora=corpora)
