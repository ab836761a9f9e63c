"""The pages of one task: what assess, rank, adapt and decide returned."""

from __future__ import annotations

from typing import Any

import tokenworth.report.pages.adapt_charts as adapting
import tokenworth.report.pages.cards as cards
import tokenworth.report.pages.class_charts as classes
import tokenworth.report.pages.confusion_chart as confusion
import tokenworth.report.pages.decision_charts as deciding
import tokenworth.report.pages.depth_charts as depth
import tokenworth.report.pages.layer_curves as curves
import tokenworth.report.pages.page_tables as tables
import tokenworth.report.pages.probe_charts as probes
import tokenworth.report.pages.ranking_charts as comparison
from tokenworth.report.displayed_values import clean, short
from tokenworth.report.pages.rendering import Details, details, drawn, render
from tokenworth.report.result_protocols import AdaptLike, AssessmentLike, DecisionLike, RankingLike

_KICKERS = {
    "bow": "What any language model has to beat",
    "prompt": "Asked, not trained",
    "probe": "A linear read-out of frozen features",
    "lora": "Low-rank updates of pretrained weights",
    "full": "All pretrained weights fine-tuned",
    "scratch": "The same network from random weights",
}


def assessment_page(result: AssessmentLike) -> str:
    """An Assessment."""
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1)
    few = len(result.task.get("label_names") or ()) <= classes.FEW
    groups = [(group, drawn(panels)) for group, panels in depth.depth_groups(result)]
    pair = [panel for panel in (classes.balance_panel(result), classes.recall_panel(result)) if panel]
    return render(
        "assessment.html.j2", title=f"{task} × {backbone}", task=task, backbone=backbone, result=result,  # noqa: RUF001
        sentences=[clean(sentence) for sentence in result.sentences], cards=cards.assessment_cards(result),
        probes=drawn([probes.probes_panel(result)]), groups=groups, curves=drawn(curves.best_layer_panels(result)),
        balance=drawn(pair), confusion=drawn([confusion.confusion_panel(result)]),
        mistakes=confusion.most_confused(result), few=few, table=tables.layer_table(result),
        doubts=tables.doubts(result), details=_assessmentdetails(result),
    )  # fmt: skip


def _assessmentdetails(result: AssessmentLike) -> Details:
    return details(
        {
            "Task": (result.task, ("label_names", "notes")),
            "Backbone": (result.backbone, ("notes",)),
            "Settings": (result.settings, ()),
            "Timings, seconds": (result.timings, ()),
            "Versions and machine": (result.environment, ()),
        }
    )


def ranking_page(ranking: RankingLike) -> str:
    """A Ranking."""
    task = clean(ranking.task["name"])
    stated = details({"Task": (ranking.task, ("label_names",)), "Versions and machine": (ranking.environment, ())})
    return render(
        "ranking.html.j2", title=f"{task}: backbones compared", task=task,
        sentences=[clean(sentence) for sentence in ranking.sentences], cards=cards.ranking_cards(ranking),
        ranking=drawn([comparison.ranking_panel(ranking)]), overlays=drawn(comparison.overlay_panels(ranking)),
        colours=comparison.colours(ranking), table=tables.ranking_rows(ranking), details=stated,
        parts=[_part(assessment) for assessment in ranking.assessments],
    )  # fmt: skip


def adapt_page(result: AdaptLike) -> str:
    """An AdaptResult."""
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1) if result.backbone else ""
    what = f"{result.route}, {backbone}" if backbone else result.route
    few = len(result.task.get("label_names") or ()) <= classes.FEW
    panels = [adapting.loss_panel(result), adapting.reliability_panel(result)]
    mistakes = [
        {**row, "true": clean(row["true"]), "predicted": clean(row["predicted"])}
        for row in (result.confusion.get("mistakes") or [])[:12]
    ]
    stated = details(
        {
            "Settings": (adapting.flat(result.settings), ()),
            "Cost": (adapting.flat(result.cost), ()),
            "What the route found": (adapting.flat(result.facts), ()),
            "Task": (adapting.flat(result.task), ("notes",)),
            "Backbone": (adapting.flat(result.backbone), ("notes",)),
            "Versions and machine": (adapting.flat(result.environment), ()),
        }
    )
    return render(
        "adapt.html.j2", title=f"{task} × {what}", kicker=_KICKERS.get(result.route, ""), task=task, what=what,  # noqa: RUF001
        sentences=[clean(sentence) for sentence in result.sentences], cards=adapting.adapt_cards(result),
        metrics=adapting.metric_rows(result), train_texts=f"{int(result.train_metrics.get('texts', 0)):,}",
        curves=drawn(panels), confusion=drawn([confusion.confusion_panel(result, "this route")]), few=few,
        mistakes=mistakes, tuning=adapting.tuning_rows(result), metric=result.settings.get("metric"),
        diagnosed=drawn([adapting.diagnosis_panel(result)]), diagnosis=adapting.diagnosis_rows(result),
        updates=adapting.update_rows(result), mislabelled=adapting.mislabelled_rows(result), details=stated,
    )  # fmt: skip


def decision_page(decision: DecisionLike) -> str:
    """A Decision."""
    task = clean(decision.task["name"])
    stated = details(
        {
            "Settings": (adapting.flat({k: v for k, v in decision.settings.items() if k != "config"}), ()),
            "Routes": (adapting.flat(decision.settings.get("config") or {}), ()),
            "Task": (adapting.flat(decision.task), ("notes",)),
            "Versions and machine": (adapting.flat(decision.environment), ()),
        }
    )
    return render(
        "decision.html.j2", title=f"{task}: which route to take", task=task, details=stated,
        sentences=[clean(sentence) for sentence in decision.sentences], cards=deciding.decision_cards(decision),
        routes=drawn([deciding.decision_panel(decision)]), table=deciding.decision_rows(decision),
        warnings=[clean(warning) for warning in decision.warnings], explained=deciding.explained(decision),
        labels=drawn([deciding.label_panel(decision)]), pilots=deciding.pilot_rows(decision),
    )  # fmt: skip


def _part(result: AssessmentLike) -> dict[str, Any]:
    """What a comparison repeats of each backbone: its sentences and its doubts."""
    sentences = [clean(sentence) for sentence in result.sentences]
    return {"name": clean(result.backbone["name"]), "sentences": sentences, "doubts": tables.doubts(result)}
