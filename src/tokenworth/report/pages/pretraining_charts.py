"""The charts and tables of a pretraining run's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, duration, flat, parameters, shown
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.headlines import bits_before
from tokenworth.report.pages.loss_curves import batch_loss_traces, source_panel, stretch_means
from tokenworth.report.pages.page_tables import Cell, Table, count_cell, number_cell, table_of, word_cell
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import Row

if TYPE_CHECKING:
    from tokenworth.pretraining import PretrainPage

_MANY_PASSES = 4
"""Repeats up to about this number are nearly as good as new text: Muennighoff et al. (2023), arXiv 2305.16264."""


def pretrain_cards(page: PretrainPage) -> list[Card]:
    """What it reached, what it is, what it cost."""
    run = page.run
    training, flops = run.settings["training"], run.train_flops_per_token * run.tokens
    bits = {name: shown(held["bits_per_byte"]) for name, held in run.held_out.items()}
    first = bits_before(page)
    by_source = tuple(
        clean(f"{name} {value}") + (f", before {shown(first[name])}" if name in first else "")
        for name, value in bits.items()
    )
    counts = run.parameters
    size = [f"{parameters(counts['non_embedding'])} in the blocks"]
    size += [f"{parameters(counts['active'])} active a token"] if counts["active"] != counts["total"] else []
    return [
        Card(
            f"Bits a byte, held-out {clean(next(iter(bits), 'text'))}",
            next(iter(bits.values()), shown(None)),
            by_source,
            accent=True,
        ),
        Card("Parameters", parameters(counts["total"]), tuple(size)),
        Card("Tokens", f"{run.tokens / 1e6:,.2f} M", (f"of {training['tokens'] / 1e6:,.2f} M asked for",)),
        Card("FLOPs", f"{flops:.1e}", (f"{run.train_flops_per_token:.2e} a token",)),
        Card("Time", duration(run.seconds), (f"{run.tokens_per_second:,.0f} tokens a second",)),
    ]


def pretrain_sentences(page: PretrainPage) -> list[str]:
    """What came of it, in words."""
    run = page.run
    if not run.finished:
        return ["The run is not finished; the same command goes on where it stopped."]
    first = bits_before(page)
    gains = [
        f"{clean(name)}: {shown(first[name])} bits a byte before, {shown(held['bits_per_byte'])} "
        f"after {run.tokens:,} tokens."
        for name, held in run.held_out.items()
        if name in first
    ]
    often = [name for name, source in run.sources.items() if source["passes"] > _MANY_PASSES]
    return gains + [f"{clean(name)} was seen more than {_MANY_PASSES} times; repeats teach less." for name in often]


def run_panels(page: PretrainPage) -> list[Panel]:
    """Training loss, held-out documents, and for a run under group DRO the weights of its sources."""
    return [_loss(page), _held_out(page), *_weights(page)]


def _loss(page: PretrainPage) -> Panel:
    panel = panel_of("pretraining-loss")
    rows = [row for row in page.journal if "loss" in row]
    if not rows:
        return panel.without("No step has been made yet.")
    hover = "%{x:,} tokens<br><b>%{y:.3f}</b> nats<extra></extra>"
    traces = batch_loss_traces([float(row["loss"]) for row in rows], [row["tokens"] for row in rows], hover)
    x, y = theme.axis(name="tokens", nticks=6), theme.axis(name="nats a token", nticks=6)
    keys = (Key("line", "running mean"), Key("thin", "steps", theme.SOFT))
    return panel.with_figure(theme.figure(traces, x, y), keys, 260)


def _held_out(page: PretrainPage) -> Panel:
    panel = panel_of("held-out")
    looks = [row for row in page.journal if "held_out" in row and row["tokens"] > 0]
    if not looks:
        return panel.without("Nothing has been measured on held-out documents yet.")
    curves = {
        name: ([row["tokens"] for row in looks], [row["held_out"][name]["bits_per_byte"] for row in looks])
        for name in page.run.held_out or looks[-1]["held_out"]
    }
    axes = theme.axis(name="tokens", type="log", nticks=6), theme.axis(name="bits a byte", nticks=6)
    return source_panel(panel, curves, " bits a byte", axes, mode="lines+markers")


def _weights(page: PretrainPage) -> list[Panel]:
    rows = [row for row in page.journal if "weights" in row]
    if not rows:
        return []
    panel = panel_of("weights")
    curves = {}
    for name in rows[0]["weights"]:
        places, means = stretch_means([float(row["weights"][name]) for row in rows])
        curves[name] = [rows[place - 1]["tokens"] for place in places], means
    axes = theme.axis(name="tokens", nticks=6), theme.axis(name="weight", nticks=6, rangemode="tozero")
    return [source_panel(panel, curves, "", axes)]


def source_table(page: PretrainPage) -> Table:
    """What was learnt from, how often, and how well its held-out part is predicted."""
    columns = {
        "Source": lambda row: word_cell(row["name"]),
        "Documents": lambda row: count_cell(row["documents"]),
        "Tokens": lambda row: count_cell(row["tokens"]),
        "Seen": lambda row: Cell(row["seen"], row["passes"]),
        "Bytes a token": lambda row: number_cell(row["bytes"] / max(1, row["tokens"]), 2),
        "Nats a token": lambda row: number_cell(row.get("nll")),
        "Perplexity": lambda row: number_cell(row.get("perplexity")),
        "Bits a byte": lambda row: number_cell(row.get("bits_per_byte")),
        "Before the run": lambda row: number_cell(row["before"]),
    }
    return table_of(columns, (_source_row(page, name, source) for name, source in page.run.sources.items()))


def _source_row(page: PretrainPage, name: str, source: Row) -> dict[str, Any]:
    both = {kind: source[f"train_{kind}"] + source[f"held_{kind}"] for kind in ("documents", "tokens", "bytes")}
    seen = f"{source['passes']:.3g} times" if source["train_tokens"] else "held out"
    before = bits_before(page).get(name)
    return {
        "name": name,
        "before": before,
        **both,
        "seen": seen,
        "passes": source["passes"],
        **page.run.held_out.get(name, {}),
    }


def run_details(page: PretrainPage) -> dict[str, dict[str, Any]]:
    """What the run was asked and what it ran on."""
    run, named = page.run, ("model", "training", "tokenizer")
    parts = [value if isinstance(value, dict) else {"from": value} for value in map(run.settings.get, named)]
    return {
        "Model": flat(parts[0]),
        "Training": flat(parts[1]),
        "Tokenizer": flat({**parts[2], **run.tokenizer}),
        "Sources": flat({name: value for name, value in run.settings.items() if name not in named}),
        "Versions and machine": flat(run.environment),
    }
