"""The charts and tables of a pretraining run's page."""

from __future__ import annotations

from dataclasses import replace

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, duration, number, shown
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, TableRow, parameters
from tokenworth.report.pages.smoothing import running_mean, thinned
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import PretrainLike, Row

_MANY_PASSES = 4
"""Repeats up to about this number are nearly as good as new text: Muennighoff et al. (2023), arXiv 2305.16264."""


def pretrain_cards(page: PretrainLike) -> list[Card]:
    """What it reached, what it is, what it cost."""
    run = page.run
    training, flops = run.settings["training"], run.train_flops_per_token * run.tokens
    best = [f"{name} {shown(one['bits_per_byte'])}" for name, one in run.held_out.items()]
    first = next(iter(run.held_out.values()), {})
    return [
        Card("Bits a byte, held out", shown(first.get("bits_per_byte")), tuple(map(clean, best)), accent=True),
        Card("Parameters", parameters(run.parameters["total"]), _blocks(page)),
        Card("Tokens", f"{run.tokens / 1e6:,.2f} M", (f"of {training['tokens'] / 1e6:,.2f} M asked for",)),
        Card("FLOPs", f"{flops:.1e}", (f"{run.train_flops_per_token:.2e} a token",)),
        Card("Time", duration(run.seconds), (f"{run.tokens_per_second:,.0f} tokens a second",)),
    ]


def _blocks(page: PretrainLike) -> tuple[str, ...]:
    counts = page.run.parameters
    active = f"{parameters(counts['active'])} active a token"
    inside = f"{parameters(counts['non_embedding'])} in the blocks"
    return (inside, active) if counts["active"] != counts["total"] else (inside,)


def pretrain_sentences(page: PretrainLike) -> list[str]:
    """What came of it, in words."""
    run = page.run
    if not run.finished:
        return ["The run is not finished; the same command goes on where it stopped."]
    first: Row = next((row["held_out"] for row in page.journal if "held_out" in row and row["tokens"] == 0), {})
    found = [
        f"{clean(name)}: {shown(first[name]['bits_per_byte'])} bits a byte before, {shown(one['bits_per_byte'])} after "
        f"{run.tokens:,} tokens."
        for name, one in run.held_out.items()
        if name in first
    ]
    often = [name for name, one in run.sources.items() if one["passes"] > _MANY_PASSES]
    warned = [f"{clean(name)} was seen more than {_MANY_PASSES} times; repeats teach less." for name in often]
    return [*found, *warned]


def loss_panel(page: PretrainLike) -> Panel:
    """Training loss by tokens."""
    panel = Panel(
        name="loss",
        title="Training loss",
        says="Nats a token of each step's sequences before its update; the strong line is a running mean.",
        trust="A curve that still falls at the end had more to learn; a sudden rise is a rate that was too high.",
    )
    rows = [row for row in page.journal if "loss" in row]
    if not rows:
        return replace(panel, reason="No step has been made yet.")
    places, means = thinned([float(row["loss"]) for row in rows])
    tokens = [rows[place - 1]["tokens"] for place in places]
    said = "%{x:,} tokens<br><b>%{y:.3f}</b> nats<extra></extra>"
    traces = [
        theme.line(tokens, list(means), colour=theme.SOFT, width=1, hoverinfo="skip"),
        theme.line(tokens, list(running_mean(means)), hovertemplate=said),
    ]
    x, y = theme.axis(name="tokens", nticks=6), theme.axis(name="nats a token", nticks=6)
    keys = (Key("line", "running mean"), Key("thin", "steps", theme.SOFT))
    return replace(panel, figure=theme.figure(traces, x, y), keys=keys, height=260)


def held_out_panel(page: PretrainLike) -> Panel:
    """Bits a byte by source along the run."""
    panel = Panel(
        name="held-out",
        title="Documents it has not learnt from",
        says="Bits a byte by source; tokens on a logarithmic axis, the first weights left out.",
        trust="Bits a byte compare models of any tokenizer; nats a token do not.",
    )
    looks = [row for row in page.journal if "held_out" in row and row["tokens"] > 0]
    if not looks:
        return replace(panel, reason="Nothing has been measured on held-out documents yet.")
    traces, keys = [], []
    for place, name in enumerate(page.run.held_out or looks[-1]["held_out"]):
        colour = theme.SERIES[place % len(theme.SERIES)]
        own = [(row["tokens"], row["held_out"][name]["bits_per_byte"]) for row in looks]
        said = f"{clean(name)}<br>%{{x:,}} tokens<br><b>%{{y:.3f}}</b> bits a byte<extra></extra>"
        x, y = [one[0] for one in own], [one[1] for one in own]
        traces.append(theme.line(x, list(y), colour=colour, mode="lines+markers", hovertemplate=said))
        keys.append(Key("line", clean(name), colour))
    axes = theme.axis(name="tokens", type="log", nticks=6), theme.axis(name="bits a byte", nticks=6)
    return replace(panel, figure=theme.figure(traces, *axes), keys=tuple(keys), height=260)


def weight_panels(page: PretrainLike) -> list[Panel]:
    """What each source counted for along a run under group DRO; none for other runs."""
    rows = [row for row in page.journal if "weights" in row]
    if not rows:
        return []
    traces, keys = [], []
    for place, name in enumerate(rows[0]["weights"]):
        colour = theme.SERIES[place % len(theme.SERIES)]
        places, means = thinned([float(row["weights"][name]) for row in rows])
        tokens = [rows[end - 1]["tokens"] for end in places]
        said = f"{clean(name)}<br>%{{x:,}} tokens<br><b>%{{y:.3f}}</b><extra></extra>"
        traces.append(theme.line(tokens, list(means), colour=colour, hovertemplate=said))
        keys.append(Key("line", clean(name), colour))
    x, y = theme.axis(name="tokens", nticks=6), theme.axis(name="weight", nticks=6, rangemode="tozero")
    return [
        Panel(
            name="weights",
            title="Weights of the sources",
            says="A source gains weight while the run predicts it worse than the reference does.",
            trust="The weights found are the means over the run; curves that still climb at its end ask for more "
            "tokens or another round.",
            figure=theme.figure(traces, x, y),
            keys=tuple(keys),
            height=260,
        )
    ]


def source_table(page: PretrainLike) -> Table:
    """What was learnt from, how often, and how well its held-out part is predicted."""
    heads = ("Source", "Documents", "Tokens", "Seen", "Bytes a token", "Nats a token", "Perplexity", "Bits a byte")
    return Table(
        heads, tuple(_source_row(name, one, page.run.held_out.get(name, {})) for name, one in page.run.sources.items())
    )


def _source_row(name: str, one: Row, held: Row) -> TableRow:
    documents, tokens, size = (one[f"train_{kind}"] + one[f"held_{kind}"] for kind in ("documents", "tokens", "bytes"))
    seen = f"{one['passes']:.3g} times" if one["train_tokens"] else "held out"
    figures = [held.get(key) for key in ("nll", "perplexity", "bits_per_byte")]
    return TableRow(
        (
            Cell(clean(name), clean(name)), Cell(f"{documents:,}", documents), Cell(f"{tokens:,}", tokens),
            Cell(seen, one["passes"]), Cell(shown(size / max(1, tokens), 2), size / max(1, tokens)),
            *(Cell(shown(figure), number(figure)) for figure in figures),
        )
    )  # fmt: skip
