"""The pages of runs over many texts: pretraining, its trace, studies, corpora."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tokenworth.report.pages.adapt_charts as adapting
import tokenworth.report.pages.corpus_charts as corpora
import tokenworth.report.pages.pretraining_charts as pretraining
import tokenworth.report.pages.study_charts as studying
import tokenworth.report.pages.trace_charts as tracing_chart
import tokenworth.report.pages.trace_page_tables as tracing
from tokenworth.report.displayed_values import ABSENT, clean
from tokenworth.report.pages.rendering import details, drawn, render
from tokenworth.report.result_protocols import ChoiceLike, PretrainLike, RelationLike, Row, TraceLike


def pretrain_page(page: PretrainLike) -> str:
    """A PretrainPage."""
    run = page.run
    settings = {name: value for name, value in run.settings.items() if name not in {"training", "model", "tokenizer"}}
    parts = {name: run.settings[name] for name in ("model", "training", "tokenizer")}
    named = {name: value if isinstance(value, dict) else {"from": value} for name, value in parts.items()}
    stated = details(
        {
            "Model": (adapting.flat(named["model"]), ()),
            "Training": (adapting.flat(named["training"]), ()),
            "Tokenizer": (adapting.flat({**named["tokenizer"], **run.tokenizer}), ()),
            "Sources": (adapting.flat(settings), ()),
            "Versions and machine": (adapting.flat(run.environment), ()),
        }
    )
    return render(
        "pretrain.html.j2", title="Pretraining", sentences=pretraining.pretrain_sentences(page), details=stated,
        cards=pretraining.pretrain_cards(page), sources=pretraining.source_table(page),
        curves=drawn(
            [pretraining.loss_panel(page), pretraining.held_out_panel(page), *pretraining.weight_panels(page)]
        ),
        samples=[{name: clean(text) for name, text in one.items()} for one in run.samples],
    )  # fmt: skip


def trace_page(trace: TraceLike) -> str:
    """A Trace."""
    parts = [
        {
            "panel": panel,
            "sentences": [clean(sentence) for sentence in task["sentences"][1:]],
            "crossings": tracing.crossing_rows(task, trace),
        }
        for panel, task in zip(drawn(tracing_chart.trace_panels(trace)), trace.tasks, strict=True)
    ]
    stated = details(
        {
            "Run": (adapting.flat(trace.run), ()),
            "Settings": (adapting.flat({k: v for k, v in trace.settings.items() if k != "config"}), ()),
            "LoRA and scratch": (adapting.flat(trace.settings.get("config") or {}), ()),
            "Versions and machine": (adapting.flat(trace.environment), ()),
        }
    )
    held_out = trace.run.get("held_out_sources")
    return render(
        "trace.html.j2", title=f"{clean(trace.run['name'])}: perception along pretraining", details=stated,
        name=clean(trace.run["name"]), sentences=[clean(sentence) for sentence in trace.sentences], parts=parts,
        cards=tracing.trace_cards(trace), answers=tracing.answer_rows(trace), fits=tracing.fit_rows(trace),
        relations=tracing.relation_rows(trace), checkpoints=tracing.checkpoint_rows(trace),
        notes=[clean(note) for note in trace.notes],
        loss="bits a byte of held-out text" if held_out else "bits a byte of the task's own texts",
    )  # fmt: skip


def study_page(
    name: str, table: Any, routes: Any, means: Any, relations: Sequence[RelationLike], choices: Sequence[ChoiceLike]
) -> str:
    """A study."""
    columns = [column for column in table.columns if not str(column).endswith(("_low", "_high"))]
    return render(
        "study.html.j2", title=name, name=clean(name), routes=studying.frame_rows(routes),
        cards=studying.study_cards(table["state"].value_counts().to_dict(), table), means=studying.frame_rows(means),
        panels=drawn(studying.relation_panels(relations)), statistics=studying.statistics_table(relations),
        choices=studying.choices_table(choices),
        cells=studying.frame_rows(table[columns].dropna(axis=1, how="all")),
    )  # fmt: skip


def corpus_page(report: Row) -> str:
    """A corpus."""
    return render(
        "corpus.html.j2", title=clean(report["name"]), name=clean(report["name"]), cards=corpora.corpus_cards(report),
        flow=drawn([corpora.flow_panel(report)]), tables=corpora.count_tables(report), absent=ABSENT,
        counts=drawn([corpora.mix_panel(report), *corpora.count_panels(report)]), samples=corpora.samples(report),
        notes=[clean(note) for note in report["notes"]], stages=corpora.stage_table(report),
        details=details({"Settings": (adapting.flat(report["settings"]), ())}),
    )  # fmt: skip
