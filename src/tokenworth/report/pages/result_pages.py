"""The pages: from a result to the values of its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.adapt_charts as adapted
import tokenworth.report.pages.cards as cards
import tokenworth.report.pages.class_charts as classes
import tokenworth.report.pages.corpus_charts as corpora
import tokenworth.report.pages.decision_charts as decided
import tokenworth.report.pages.depth_charts as depth
import tokenworth.report.pages.interval_charts as intervals
import tokenworth.report.pages.pretraining_charts as pretrained
import tokenworth.report.pages.study_charts as studies
import tokenworth.report.pages.trace_charts as trace_charts
import tokenworth.report.pages.trace_tables as trace_tables
from tokenworth.report.displayed_values import ABSENT, clean, short
from tokenworth.report.pages.layer_curves import best_layer_panels
from tokenworth.report.pages.page_tables import layer_table, ranking_rows
from tokenworth.report.pages.rendering import details, drawn, flat, render
from tokenworth.report.result_values import doubts
from tokenworth.report.terminal.result_tables import METRIC_NAMES

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.corpus.output.build_report import CorpusReport
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainPage
    from tokenworth.study.layer_and_k import Choice
    from tokenworth.study.published_relations import Relation
    from tokenworth.tracing import Trace

_KICKERS = {
    "bow": "What any language model has to beat",
    "prompt": "Asked, not trained",
    "probe": "A linear read-out of frozen features",
    "lora": "Low-rank updates of pretrained weights",
    "full": "All pretrained weights fine-tuned",
    "scratch": "The same network from random weights",
}
_MACHINE = "Versions and machine"


def assessment_page(result: Assessment) -> str:
    """An Assessment."""
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1)
    stated: dict[str, Mapping[str, Any]] = {
        "Task": result.task,
        "Backbone": result.backbone,
        "Settings": result.settings,
        "Timings, seconds": result.timings,
        _MACHINE: result.environment,
    }
    balance = [panel for panel in (classes.balance_panel(result), classes.recall_panel(result)) if panel]
    return render(
        "assessment.html.j2",
        title=f"{task} × {backbone}",  # noqa: RUF001
        task=task,
        backbone=backbone,
        result=result,
        cards=cards.assessment_cards(result),
        probes=drawn(intervals.probes_panel(result)),
        groups=[(group, drawn(*panels)) for group, panels in depth.depth_groups(result)],
        curves=drawn(*best_layer_panels(result)),
        balance=drawn(*balance),
        confusion=drawn(classes.confusion_panel(result)),
        mistakes=classes.most_confused(result),
        few=len(classes.class_names(result)) <= classes.FEW,
        table=layer_table(result),
        doubts=doubts(result),
        details=details(stated, ("label_names", "notes")),
    )


def ranking_page(ranking: Ranking) -> str:
    """A Ranking."""
    task = clean(ranking.task["name"])
    return render(
        "ranking.html.j2",
        title=f"{task}: backbones compared",
        task=task,
        sentences=ranking.sentences,
        cards=cards.ranking_cards(ranking),
        ranking=drawn(intervals.ranking_panel(ranking)),
        overlays=drawn(*depth.overlay_panels(ranking)),
        colours=depth.colours(ranking),
        table=ranking_rows(ranking),
        details=details({"Task": ranking.task, _MACHINE: ranking.environment}, ("label_names",)),
        parts=[(result, doubts(result)) for result in ranking.assessments],
    )


def adapt_page(result: AdaptResult) -> str:
    """An AdaptResult."""
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1) if result.backbone else ""
    what = f"{result.route}, {backbone}" if backbone else result.route
    stated = {
        "Settings": flat(result.settings),
        "Cost": flat(result.cost),
        "What the route found": flat(result.facts),
        "Task": flat(result.task),
        "Backbone": flat(result.backbone),
        _MACHINE: flat(result.environment),
    }
    return render(
        "adapt.html.j2",
        title=f"{task} × {what}",  # noqa: RUF001
        kicker=_KICKERS.get(result.route, ""),
        task=task,
        what=what,
        result=result,
        cards=adapted.adapt_cards(result),
        metric_names=METRIC_NAMES,
        curves=drawn(adapted.loss_panel(result), adapted.reliability_panel(result)),
        confusion=drawn(classes.confusion_panel(result, "this route")),
        few=len(classes.class_names(result)) <= classes.FEW,
        diagnosed=drawn(adapted.diagnosis_panel(result)),
        diagnosis=adapted.diagnosis_table(result),
        updates=adapted.update_table(result),
        details=details(stated),
    )


def decision_page(decision: Decision) -> str:
    """A Decision."""
    task = clean(decision.task["name"])
    stated = {
        "Settings": flat({name: value for name, value in decision.settings.items() if name != "config"}),
        "Routes": flat(decision.settings.get("config")),
        "Task": flat(decision.task),
        _MACHINE: flat(decision.environment),
    }
    return render(
        "decision.html.j2",
        title=f"{task}: which route to take",
        task=task,
        decision=decision,
        cards=decided.decision_cards(decision),
        routes=drawn(decided.decision_panel(decision)),
        table=decided.route_table(decision),
        labels=drawn(decided.label_panel(decision)),
        details=details(stated),
    )


def pretrain_page(page: PretrainPage) -> str:
    """A PretrainPage."""
    run, named = page.run, ("model", "training", "tokenizer")
    model, training, tokenizer = (
        value if isinstance(value, dict) else {"from": value} for value in map(run.settings.get, named)
    )
    stated = {
        "Model": flat(model),
        "Training": flat(training),
        "Tokenizer": flat({**tokenizer, **run.tokenizer}),
        "Sources": flat({name: value for name, value in run.settings.items() if name not in named}),
        _MACHINE: flat(run.environment),
    }
    return render(
        "pretrain.html.j2",
        title="Pretraining",
        sentences=pretrained.pretrain_sentences(page),
        cards=pretrained.pretrain_cards(page),
        curves=drawn(*pretrained.run_panels(page)),
        sources=pretrained.source_table(page),
        samples=run.samples,
        details=details(stated),
    )


def trace_page(trace: Trace) -> str:
    """A Trace."""
    name = clean(trace.run["name"])
    stated = {
        "Run": flat(trace.run),
        "Settings": flat({key: value for key, value in trace.settings.items() if key != "config"}),
        "LoRA and scratch": flat(trace.settings.get("config")),
        _MACHINE: flat(trace.environment),
    }
    panels = drawn(*trace_charts.trace_panels(trace))
    return render(
        "trace.html.j2",
        title=f"{name}: perception along pretraining",
        name=name,
        trace=trace,
        cards=trace_tables.trace_cards(trace),
        answers=trace_tables.answer_rows(trace),
        parts=[(*part, trace_tables.crossing_rows(part[1], trace)) for part in zip(panels, trace.tasks, strict=True)],
        fits=trace_tables.fit_rows(trace),
        relations=trace_tables.relation_rows(trace),
        checkpoints=trace_tables.checkpoint_rows(trace),
        loss="bits a byte of " + ("held-out text" if trace.run.get("held_out_sources") else "the task's own texts"),
        details=details(stated),
    )


def study_page(
    name: str, table: Any, routes: Any, means: Any, relations: Sequence[Relation], choices: Sequence[Choice]
) -> str:
    """A study."""
    columns = [column for column in table.columns if not str(column).endswith(("_low", "_high"))]
    return render(
        "study.html.j2",
        title=name,
        name=clean(name),
        routes=studies.frame_rows(routes),
        cards=studies.study_cards(table["state"].value_counts().to_dict(), table),
        means=studies.frame_rows(means),
        panels=drawn(*map(studies.relation_panel, relations)),
        statistics=studies.statistics_table(relations),
        choices=studies.choices_table(choices),
        cells=studies.frame_rows(table[columns].dropna(axis=1, how="all")),
    )


def corpus_page(report: CorpusReport) -> str:
    """A corpus."""
    return render(
        "corpus.html.j2",
        title=clean(report["name"]),
        report=report,
        cards=corpora.corpus_cards(report),
        flow=drawn(corpora.flow_panel(report)),
        tables=corpora.count_tables(report),
        absent=ABSENT,
        counts=drawn(*corpora.count_panels(report)),
        samples=corpora.samples(report),
        stages=corpora.stage_table(report),
        details=details({"Settings": flat(report["settings"])}),
    )
