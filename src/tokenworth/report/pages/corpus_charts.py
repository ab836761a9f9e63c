"""A corpus: what went where and why, as charts, tables and samples of its report's plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import clean, cut, label
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.corpus_words import added, amounts_read, looked_for_tasks, size_text
from tokenworth.report.pages.page_tables import Cell, Table, TableRow, count_cell, table_of, value_cell, word_cell
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_values import Row

if TYPE_CHECKING:
    from tokenworth.corpus.output.build_report import AmountRow, CorpusReport, StageRow

_FEW = 5
_LINK, _LOST = "rgba(59,130,214,0.28)", "rgba(139,147,157,0.35)"
_MARGIN = {"l": 56, "r": 14, "t": 8, "b": 44}


def corpus_cards(report: CorpusReport) -> list[Card]:
    """What came out, of what, and what was done on the way."""
    read, output = amounts_read(report), report["output"]
    personal, contamination = report["facts"].get("personal", {}), report["contamination"]
    near = {name: row["documents"] - row["clusters"] for name, row in report["clusters"].items()}
    spoilt = sum(row["documents"] for row in contamination if row["split"] == "test")
    found = f"{spoilt:,} documents with test texts" if contamination else "none in any document"
    where = found if looked_for_tasks(report) else "not looked for"
    frequent = sorted(personal.items(), key=lambda item: -item[1])[:3]
    kinds = ", ".join(f"{clean(name)} {count:,}" for name, count in frequent)
    sizes = (f"of {size_text(read['bytes'])} read", f"in {output['files']:,} file{'s' * (output['files'] != 1)}")
    return [
        Card("Documents written", f"{output['documents']:,}", (f"of {read['documents']:,} read",), accent=True),
        Card("Text", size_text(output["bytes"]), sizes),
        Card("Duplicates dropped", f"{sum(near.values()):,}", tuple(f"{name} {n:,}" for name, n in near.items())),
        Card("Personal data replaced", f"{sum(personal.values()):,}", (kinds or "none found",)),
        Card("Task texts found", f"{sum(row['texts'] for row in contamination):,}", (where,)),
    ]


class _Flow:
    """The diagram: colours of its nodes by name, and links from one to another."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.links: list[dict[str, Any]] = []

    def add(self, start: str, end: str, amount: AmountRow, *, lost: bool = False) -> None:
        """A link, unless nothing goes along it; what is lost ends in a grey node."""
        self.nodes.setdefault(start, theme.ACCENT)
        self.nodes.setdefault(end, theme.GREY if lost else theme.ACCENT)
        source, target = (list(self.nodes).index(name) for name in (start, end))
        words = f"{amount['documents']:,} documents, {size_text(amount['bytes'])}"
        link = {"source": source, "target": target, "value": amount["documents"], "customdata": words}
        if amount["documents"]:
            self.links.append({**link, "color": _LOST if lost else _LINK})

    def trace(self) -> theme.Trace:
        """For plotly."""
        names = ("source", "target", "value", "customdata", "color")
        link: dict[str, Any] = {name: [part[name] for part in self.links] for name in names}
        link["hovertemplate"] = "%{source.label} to %{target.label}<br>%{customdata}<extra></extra>"
        node: dict[str, Any] = {"label": [label(name, 40) for name in self.nodes], "color": [*self.nodes.values()]}
        node |= {"pad": 14, "thickness": 14, "line": {"width": 0}, "hovertemplate": "%{label}<extra></extra>"}
        return {"type": "sankey", "arrangement": "snap", "valueformat": ",d", "node": node, "link": link}


def flow_panel(report: CorpusReport) -> Panel:
    """Documents from source to output; what leaves does so under its reason."""
    rows, flow, reasons = report["stages"], _Flow(), 0
    for row in rows:
        if row["stage"] == "read":
            flow.add(row["source"], "read", row["taken"])
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    left = amounts_read(report)
    for stage, after in zip(stages, [*stages[1:], "ready"], strict=True):
        for reason, lost in _lost(rows, stage).items():
            flow.add(stage, f"{stage}: {reason}", lost, lost=True)
            left = {"documents": left["documents"] - lost["documents"], "bytes": left["bytes"] - lost["bytes"]}
            reasons += 1
        flow.add(stage, after, left)
    figure = theme.figure([flow.trace()], {}, {}, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    for unused in ("xaxis", "yaxis"):
        figure["layout"].pop(unused)
    return panel_of("flow").with_figure(figure, height=max(320, 26 * reasons + 120), min_width=860)


def _lost(rows: Sequence[StageRow], stage: str) -> dict[str, AmountRow]:
    """The most frequent reasons of a stage, the others together."""
    amounts: dict[str, list[AmountRow]] = {}
    for row in rows:
        if row["stage"] == stage:
            for reason, amount in row["dropped"].items():
                amounts.setdefault(reason, []).append(amount)
    total = {reason: added(parts) for reason, parts in amounts.items()}
    ordered = sorted(total.items(), key=lambda item: -item[1]["documents"])
    rest = [amount for _, amount in ordered[_FEW:]]
    return dict(ordered[:_FEW]) | ({"other reasons": added(rest)} if rest else {})


def count_panels(report: CorpusReport) -> list[Panel]:
    """The mix, bits a byte, languages and lengths."""
    facts = report["facts"]
    languages = dict(sorted(facts.get("languages", {}).items(), key=lambda item: -item[1])[:20])
    lengths = {
        size_text(size): count for size, count in sorted((int(n), count) for n, count in report["lengths"].items())
    }
    bits = facts.get("bits per byte", {})
    bits = {edge: bits[edge] for edge in sorted(bits, key=lambda edge: (edge[0].isalpha(), len(edge), edge))}
    predicted = _bars("bits", "Bits a byte under the model", bits, "Before the limits; each bar from its number on.")
    return [
        _mix(report),
        *([predicted] if bits else []),
        _bars("languages", "Languages", languages, "As told by a model from each document's beginning; und: unknown."),
        _bars("lengths", "Lengths of the documents written", lengths, "Up to so much; each bar twice the one before."),
    ]


def _bars(name: str, title: str, counts: Mapping[str, int], says: str) -> Panel:
    if not counts:
        return Panel(name, title, reason="Nothing was counted; the stage that does is not in the file.")
    names, template = [label(key) for key in counts], "%{x}: %{y:,}<extra></extra>"
    trace = theme.bars(names, [*counts.values()], theme.ACCENT, hovertemplate=template)
    x, y = theme.axis(type="category"), theme.axis(name="documents", rangemode="tozero")
    return Panel(name, title, says).with_figure(theme.figure([trace], x, y, margin=_MARGIN, bargap=0.25), height=250)


def _mix(report: CorpusReport) -> Panel:
    """The mix that was wanted beside the one that came out."""
    rows: list[Row] = [*report["mix"]]
    sides = [("wanted_share", "wanted", theme.GREY), ("got_share", "got", theme.ACCENT)]
    if any(row["annealing_share"] is not None for row in rows):
        sides.append(("annealing_share", "when annealing", theme.SERIES[1]))
    names = [label(row["source"]) for row in rows]
    traces = [
        theme.bars(names, [row[key] for row in rows], colour, hovertemplate=f"%{{x}}: %{{y:.2%}} {name}<extra></extra>")
        for key, name, colour in sides
    ]
    x, y = theme.axis(type="category"), theme.axis(name="share of bytes", tickformat=".0%", rangemode="tozero")
    figure = theme.figure(traces, x, y, barmode="group", margin=_MARGIN)
    panel = panel_of("mix", synthetic=f"{report['synthetic_share']:.1%}")
    return panel.with_figure(figure, [Key("bar", name, colour) for _, name, colour in sides], 250)


def stage_table(report: CorpusReport) -> Table:
    """One row a stage, source and reason."""
    columns = {
        "Stage": lambda entry: word_cell(entry[0]),
        "Source": lambda entry: word_cell(entry[1]),
        "What": lambda entry: word_cell(entry[2]),
        "Reason": lambda entry: Cell(clean(entry[3]) if entry[3] else "", clean(entry[3])),
        "Documents": lambda entry: count_cell(entry[4]["documents"]),
        "MB": lambda entry: Cell(f"{entry[4]['bytes'] / 1e6:,.3f}", entry[4]["bytes"]),
    }
    entries: list[tuple[str, str, str, str, AmountRow]] = []
    for row in report["stages"]:
        names = row["stage"], row["source"]
        entries.append((*names, "went on", "", row["given"]))
        entries += [(*names, "dropped", reason, amount) for reason, amount in row["dropped"].items()]
        entries += [(*names, "changed", reason, amount) for reason, amount in row["changed"].items()]
    return table_of(columns, entries)


def count_tables(report: CorpusReport) -> list[tuple[str, str, Table]]:
    """Name, title and table of tokens, personal data, clusters and contamination, where there are any."""
    clusters = [(name, *size) for name, row in report["clusters"].items() for size in row["sizes"].items() if size[1]]
    counts = ("source", "tokens", "held_out_tokens", "documents", "shards")
    packed: list[Row] = [*report["tokens"]]
    tokens = [(*(row[key] for key in counts), _two(row["bytes_per_token"])) for row in packed]
    measures = ("distinct_2", "distinct_4", "self_bleu", "compression")
    variety = [
        (row["source"], *(f"{row[key]:.3f}" for key in measures), _two(row["ratio"]), f"{row['part']:.0%}")
        for row in report["variety"]
    ]
    spoilt = [(row["task"], row["split"], row["texts"], row["documents"]) for row in report["contamination"]]
    measured = ("Distinct pairs", "Distinct runs of 4", "Self-BLEU", "Compression", "Of real text's", "Used")
    tables: tuple[tuple[str, str, tuple[str, ...], list[Any]], ...] = (
        ("tokens", "Tokens packed", ("Source", "Tokens", "Held out", "Documents", "Shards", "Bytes a token"), tokens),
        ("variety", "Variety of what models wrote", ("Source", *measured), variety),
        ("personal", "Personal data by type", ("Type", "Found"), [*report["facts"].get("personal", {}).items()]),
        ("clusters", "Clusters of duplicates by size", ("Stage", "Documents", "Clusters"), clusters),
        ("contamination", "Texts of tasks", ("Task", "Split", "Texts found", "In documents"), spoilt),
    )
    return [(name, title, _table(heads, rows)) for name, title, heads, rows in tables if rows]


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Table:
    return Table(heads, tuple(TableRow(tuple(map(value_cell, row))) for row in rows))


def samples(report: CorpusReport) -> list[tuple[str, list[dict[str, str]]]]:
    """Dropped and changed documents by stage and reason, each on one line and cut."""
    groups: dict[str, list[dict[str, str]]] = {}
    for sample in report["samples"]:
        after = cut(sample["after"], 300) if sample["after"] else ""
        texts = {"id": cut(sample["id"], 80), "before": cut(sample["before"], 300), "after": after}
        group = clean(f"{sample['stage']}: {sample['what']}, {sample['reason']}")
        groups.setdefault(group, []).append(texts)
    return list(groups.items())
