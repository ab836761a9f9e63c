"""One self-contained HTML page: charts, tables and words in a single file that needs no network.

A content security policy allows only the scripts written here (by a nonce) and no request of any kind, so that text
from a data set or a model could not act even if it were not escaped; it is escaped as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import tokenworth.report.adapting as adapting
import tokenworth.report.cards as cards
import tokenworth.report.classes as classes
import tokenworth.report.comparison as comparison
import tokenworth.report.confusion as confusion
import tokenworth.report.corpora as corpora
import tokenworth.report.curves as curves
import tokenworth.report.deciding as deciding
import tokenworth.report.depth as depth
import tokenworth.report.probes as probes
import tokenworth.report.studying as studying
import tokenworth.report.tables as tables
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.report.shapes import AdaptLike, AssessmentLike, DecisionLike, RankingLike, RelationLike, Row
from tokenworth.report.theme import Panel
from tokenworth.report.values import ABSENT, clean, facts, short
from tokenworth.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(result: AssessmentLike | RankingLike | AdaptLike | DecisionLike, path: str | Path) -> Path:
    """Writes the page of an Assessment, a Ranking, an AdaptResult or a Decision and returns its path.

    The parent folder is made when missing. The page is written beside its final name and renamed, so that an
    interrupted run leaves no half page. About 5 MB, most of it the charts' library.

    Raises:
        SettingError: ``result`` is none of these.
        TokenworthError: the file cannot be written; the message names it and the reason.
    """
    if hasattr(result, "options"):
        html = _decision_page(cast("DecisionLike", result))
    elif hasattr(result, "assessments"):
        html = _ranking_page(cast("RankingLike", result))
    elif hasattr(result, "route"):
        html = _adapt_page(cast("AdaptLike", result))
    elif hasattr(result, "layers"):
        html = _assessment_page(result)
    else:
        raise SettingError(
            f"write_report was given a {type(result).__name__}; give it what assess(), rank(), adapt() or decide() "
            "returned"
        )
    return _write(html, Path(path))


def write_study_page(
    name: str, table: Any, routes: Any, means: Any, relations: Sequence[RelationLike], path: str | Path
) -> Path:
    """Writes the page of a study and returns its path.

    Args:
        name: of the study.
        table: one row a cell, as `cell_table` makes it.
        routes: a metric by task, backbone and route.
        means: over tasks, by backbone.
        relations: figures against figures.
        path: where to write.

    Raises:
        TokenworthError: the file cannot be written.
    """
    columns = [column for column in table.columns if not str(column).endswith(("_low", "_high"))]
    html = _render(
        "study.html.j2", title=name, name=clean(name), routes=studying.frame_rows(routes),
        cards=studying.study_cards(table["state"].value_counts().to_dict(), table), means=studying.frame_rows(means),
        panels=drawn(studying.relation_panels(relations)), statistics=studying.statistics_table(relations),
        cells=studying.frame_rows(table[columns].dropna(axis=1, how="all")),
    )  # fmt: skip
    return _write(html, Path(path))


def write_corpus_page(report: Row, path: str | Path) -> Path:
    """Writes the page of a corpus and returns its path.

    Args:
        report: what report.json of a build holds.
        path: where to write.

    Raises:
        TokenworthError: the file cannot be written.
    """
    html = _render(
        "corpus.html.j2", title=clean(report["name"]), name=clean(report["name"]), cards=corpora.corpus_cards(report),
        flow=drawn([corpora.flow_panel(report)]), tables=corpora.count_tables(report), absent=ABSENT,
        counts=drawn([corpora.mix_panel(report), *corpora.count_panels(report)]), samples=corpora.samples(report),
        notes=[clean(note) for note in report["notes"]], stages=corpora.stage_table(report),
        details=_details({"Settings": (adapting.flat(report["settings"]), ())}),
    )  # fmt: skip
    return _write(html, Path(path))


def _write(html: str, path: Path) -> Path:
    if path.is_dir():
        raise TokenworthError(f"{path} is a folder; name the report's file, for example {path / 'report.html'}")
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        _discard(unfinished)
        reason = error.strerror or str(error)
        raise TokenworthError(
            f"the report could not be written to {path} ({reason}); free some space there or name another folder"
        ) from error
    return path


def _discard(unfinished: Path) -> None:
    try:
        unfinished.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is out of reach; the message of the first error is the useful one


def _assessment_page(result: AssessmentLike) -> str:
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1)
    few = len(result.task.get("label_names") or ()) <= classes.FEW
    groups = [(group, drawn(panels)) for group, panels in depth.depth_groups(result)]
    pair = [panel for panel in (classes.balance_panel(result), classes.recall_panel(result)) if panel]
    return _render(
        "assessment.html.j2", title=f"{task} × {backbone}", task=task, backbone=backbone, result=result,  # noqa: RUF001
        sentences=[clean(sentence) for sentence in result.sentences], cards=cards.assessment_cards(result),
        probes=drawn([probes.probes_panel(result)]), groups=groups, curves=drawn(curves.best_layer_panels(result)),
        balance=drawn(pair), confusion=drawn([confusion.confusion_panel(result)]),
        mistakes=confusion.most_confused(result), few=few, table=tables.layer_table(result),
        doubts=tables.doubts(result), details=_assessment_details(result),
    )  # fmt: skip


def _assessment_details(result: AssessmentLike) -> list[tuple[str, list[tuple[str, str]]]]:
    return _details(
        {
            "Task": (result.task, ("label_names", "notes")),
            "Backbone": (result.backbone, ("notes",)),
            "Settings": (result.settings, ()),
            "Timings, seconds": (result.timings, ()),
            "Versions and machine": (result.environment, ()),
        }
    )


def _details(
    parts: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]],
) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(name, facts(values or {}, skip)) for name, (values, skip) in parts.items() if values]


def _ranking_page(ranking: RankingLike) -> str:
    task = clean(ranking.task["name"])
    details = _details({"Task": (ranking.task, ("label_names",)), "Versions and machine": (ranking.environment, ())})
    return _render(
        "ranking.html.j2", title=f"{task}: backbones compared", task=task,
        sentences=[clean(sentence) for sentence in ranking.sentences], cards=cards.ranking_cards(ranking),
        ranking=drawn([comparison.ranking_panel(ranking)]), overlays=drawn(comparison.overlay_panels(ranking)),
        colours=comparison.colours(ranking), table=tables.ranking_rows(ranking), details=details,
        parts=[_part(assessment) for assessment in ranking.assessments],
    )  # fmt: skip


_KICKERS = {
    "bow": "What any language model has to beat",
    "prompt": "Asked, not trained",
    "probe": "A linear read-out of frozen features",
    "lora": "Low-rank updates of pretrained weights",
    "full": "All pretrained weights fine-tuned",
    "scratch": "The same network from random weights",
}


def _adapt_page(result: AdaptLike) -> str:
    task, backbone = clean(result.task["name"]), short(result.backbone["name"], 1) if result.backbone else ""
    what = f"{result.route}, {backbone}" if backbone else result.route
    few = len(result.task.get("label_names") or ()) <= classes.FEW
    panels = [adapting.loss_panel(result), adapting.reliability_panel(result)]
    mistakes = [
        {**row, "true": clean(row["true"]), "predicted": clean(row["predicted"])}
        for row in (result.confusion.get("mistakes") or [])[:12]
    ]
    details = _details(
        {
            "Settings": (adapting.flat(result.settings), ()),
            "Cost": (adapting.flat(result.cost), ()),
            "What the route found": (adapting.flat(result.facts), ()),
            "Task": (adapting.flat(result.task), ("notes",)),
            "Backbone": (adapting.flat(result.backbone), ("notes",)),
            "Versions and machine": (adapting.flat(result.environment), ()),
        }
    )
    return _render(
        "adapt.html.j2", title=f"{task} × {what}", kicker=_KICKERS.get(result.route, ""), task=task, what=what,  # noqa: RUF001
        sentences=[clean(sentence) for sentence in result.sentences], cards=adapting.adapt_cards(result),
        metrics=adapting.metric_rows(result), train_texts=f"{int(result.train_metrics.get('texts', 0)):,}",
        curves=drawn(panels), confusion=drawn([confusion.confusion_panel(result, "this route")]), few=few,
        mistakes=mistakes, tuning=adapting.tuning_rows(result), metric=result.settings.get("metric"),
        diagnosed=drawn([adapting.diagnosis_panel(result)]), diagnosis=adapting.diagnosis_rows(result),
        updates=adapting.update_rows(result), mislabelled=adapting.mislabelled_rows(result), details=details,
    )  # fmt: skip


def _decision_page(decision: DecisionLike) -> str:
    task = clean(decision.task["name"])
    details = _details(
        {
            "Settings": (adapting.flat({k: v for k, v in decision.settings.items() if k != "config"}), ()),
            "Routes": (adapting.flat(decision.settings.get("config") or {}), ()),
            "Task": (adapting.flat(decision.task), ("notes",)),
            "Versions and machine": (adapting.flat(decision.environment), ()),
        }
    )
    return _render(
        "decision.html.j2", title=f"{task}: which route to take", task=task, details=details,
        sentences=[clean(sentence) for sentence in decision.sentences], cards=deciding.decision_cards(decision),
        routes=drawn([deciding.decision_panel(decision)]), table=deciding.decision_rows(decision),
        warnings=[clean(warning) for warning in decision.warnings], explained=deciding.explained(decision),
        labels=drawn([deciding.label_panel(decision)]), pilots=deciding.pilot_rows(decision),
    )  # fmt: skip


def _part(result: AssessmentLike) -> dict[str, Any]:
    """What a comparison repeats of each backbone: its sentences and its doubts."""
    sentences = [clean(sentence) for sentence in result.sentences]
    return {"name": clean(result.backbone["name"]), "sentences": sentences, "doubts": tables.doubts(result)}


def drawn(panels: Iterable[Panel]) -> list[Panel]:
    """Every panel with its chart as HTML; plotly writes text into scripts with <, > and / as escapes."""
    from plotly.io import to_html

    def chart(panel: Panel) -> str:
        return to_html(
            panel.figure, full_html=False, include_plotlyjs=False, div_id=f"chart-{panel.name}",
            default_height=f"{panel.height}px", config=_config(panel),
        )  # fmt: skip

    return [replace(panel, html=chart(panel)) if panel.figure else panel for panel in panels]


def _config(panel: Panel) -> dict[str, Any]:
    buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]]
    return {"responsive": True, "displaylogo": False, "displayModeBar": panel.zoom, "modeBarButtons": buttons,
            "showTips": False, "plotlyServerURL": ""}  # fmt: skip


def _render(template: str, **values: Any) -> str:
    from plotly.offline import get_plotlyjs

    environment = _environment()
    main = environment.get_template(template).render(values)
    nonce = hashlib.sha256(main.encode()).hexdigest()[:32]  # no text inside the page can know the hash of the page
    main = main.replace("<script>", f'<script nonce="{nonce}">')  # those of the charts: all other text is escaped
    page = environment.get_template("page.html.j2")
    return page.render(
        title=values["title"], main=main, nonce=nonce, plotly=get_plotlyjs(), version=__version__,
        style=_source("style.css"), script=_source("page.js"),
    )  # fmt: skip


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
