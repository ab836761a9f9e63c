"""The pages: which template shows a result, under which title, and with which charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.adapt_charts as adapted
import tokenworth.report.pages.cards as cards
import tokenworth.report.pages.class_charts as classes
import tokenworth.report.pages.corpus_charts as corpora
import tokenworth.report.pages.corpus_words as corpus_words
import tokenworth.report.pages.decision_charts as decided
import tokenworth.report.pages.depth_charts as depth
import tokenworth.report.pages.headlines as heads
import tokenworth.report.pages.interval_charts as intervals
import tokenworth.report.pages.layer_curves as curves
import tokenworth.report.pages.page_tables as tables
import tokenworth.report.pages.pooling_charts as poolings
import tokenworth.report.pages.pretraining_charts as pretrained
import tokenworth.report.pages.story_tables as stories
import tokenworth.report.pages.study_charts as studies
import tokenworth.report.pages.study_tables as study_tables
import tokenworth.report.pages.trace_charts as trace_charts
import tokenworth.report.pages.trace_tables as trace_tables
import tokenworth.report.result_values as result_values
from tokenworth.report.displayed_values import clean
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
    "shared_sentences": result_values.shared_sentences,
}


def assessment_page(result: Assessment) -> str:
    """An Assessment."""
    headline = heads.assessment_headline(result)
    parts: dict[str, Any] = {"classes": classes, "curves": curves, "poolings": poolings}
    return render("assessment.html.j2", headline.title, result=result, headline=headline, **parts, **_SCORES)


def ranking_page(ranking: Ranking) -> str:
    """A Ranking."""
    headline = heads.ranking_headline(ranking)
    return render("ranking.html.j2", headline.title, ranking=ranking, headline=headline, **_SCORES)


def adapt_page(result: AdaptResult) -> str:
    """An AdaptResult."""
    headline = heads.adapt_headline(result)
    kicker = names_of("route_kickers").get(result.route, "")
    words = {"metric_names": route_metric_names(result), "diagnosed": names_of("diagnosed_scores"), "kicker": kicker}
    parts: dict[str, Any] = {"adapted": adapted, "classes": classes}
    return render("adapt.html.j2", headline.title, result=result, headline=headline, **parts, **words)


def decision_page(decision: Decision) -> str:
    """A Decision."""
    headline = heads.decision_headline(decision)
    return render("decision.html.j2", headline.title, decision=decision, headline=headline, decided=decided)


def pretrain_page(page: PretrainPage) -> str:
    """A PretrainPage."""
    headline = heads.pretrain_headline(page)
    return render("pretrain.html.j2", headline.title, page=page, headline=headline, pretrained=pretrained)


def trace_page(trace: Trace) -> str:
    """A Trace."""
    headline = heads.trace_headline(trace)
    parts: dict[str, Any] = {"charts": trace_charts, "tables": trace_tables, "said": result_values}
    return render("trace.html.j2", headline.title, trace=trace, headline=headline, **parts)


def story_page(story: Story) -> str:
    """A Story."""
    headline = heads.story_headline(story)
    parts: dict[str, Any] = {"charts": decided, "classes": classes, "stories": stories}
    return render("story.html.j2", headline.title, story=story, headline=headline, **parts, **_SCORES)


def study_page(
    name: str,
    table: Any,
    routes: Any,
    means: Any,
    relations: Sequence[Relation],
    choices: Sequence[Choice],
    metric: str = "weighted_f1",
) -> str:
    """A study."""
    from tokenworth.base.versions import describe_environment

    headline = heads.Headline(clean(name), study_tables.study_says(table, metric))
    parts = {"table": table, "routes": routes, "means": means, "relations": relations, "choices": choices}
    parts |= {"printed": any(str(column).startswith("published") for column in routes.columns), "metric": metric}
    return render(
        "study.html.j2",
        headline.title,
        headline=headline,
        environment=describe_environment(),
        charts=studies,
        studies=study_tables,
        **parts,
    )


def corpus_page(report: CorpusReport) -> str:
    """A corpus."""
    from tokenworth.base.versions import describe_environment

    headline, environment = heads.corpus_headline(report), describe_environment()
    parts: dict[str, Any] = {"corpora": corpora, "words": corpus_words}
    return render("corpus.html.j2", headline.title, report=report, headline=headline, environment=environment, **parts)
