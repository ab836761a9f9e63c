"""A corpus: what went where and why, as charts, tables and samples of its report's plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import ABSENT, clean, cut, label
from tokenworth.report.pages.cards import Card
from tokenworth.report.pages.page_tables import Cell, Table, TableRow
from tokenworth.report.pages.theme import Key, Panel
from tokenworth.report.result_protocols import Row

_FEW = 5
_VARIETY = ("Source", "Distinct pairs", "Distinct runs of 4", "Self-BLEU", "Compression", "Of real text's", "Used")
_LINK, _LOST = "rgba(59,130,214,0.28)", "rgba(139,147,157,0.35)"


def corpus_cards(found: Row) -> list[Card]:
    """What came out, of what, and what was done on the way."""
    read = _amount(found, "read", "taken")
    output = found["output"]
    personal = found["facts"].get("personal", {})
    near = {name: own["documents"] - own["clusters"] for name, own in found["clusters"].items()}
    return [
        Card("Documents written", f"{output['documents']:,}", (f"of {read['documents']:,} read",), accent=True),
        Card("Text", _size(output["bytes"]), (f"of {_size(read['bytes'])} read", f"{output['files']} files")),
        Card("Duplicates dropped", f"{sum(near.values()):,}", tuple(f"{name} {n:,}" for name, n in near.items())),
        Card("Personal data replaced", f"{sum(personal.values()):,}", (_list(personal, 3),) if personal else ()),
        Card("Task texts found", f"{sum(row['texts'] for row in found['contamination']):,}", _spoilt(found)),
    ]


def _spoilt(found: Row) -> tuple[str, ...]:
    documents = sum(row["documents"] for row in found["contamination"] if row["split"] == "test")
    return (f"{documents:,} documents with test texts",) if found["contamination"] else ("none looked for or found",)


def _list(counts: Mapping[str, int], most: int) -> str:
    ordered = sorted(counts.items(), key=lambda one: -one[1])[:most]
    return ", ".join(f"{clean(name)} {number:,}" for name, number in ordered)


def _size(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:,.2f} {unit}"
    return f"{size / 1e3:,.1f} kB"


def _amount(found: Row, stage: str, side: str) -> dict[str, int]:
    rows = [row[side] for row in found["stages"] if row["stage"] == stage]
    return {name: sum(row[name] for row in rows) for name in ("documents", "bytes")}


def flow_panel(found: Row) -> Panel:
    """Documents from source to output; what leaves does so under its reason."""
    nodes: dict[str, int] = {}
    links: list[tuple[int, int, int, str, str]] = []

    def node(name: str) -> int:
        return nodes.setdefault(name, len(nodes))

    reading = [row for row in found["stages"] if row["stage"] == "read"]
    links += [(node(row["source"]), node("read"), *_value(row["taken"]), _LINK) for row in reading]
    stages = list(dict.fromkeys(row["stage"] for row in found["stages"]))
    left = _amount(found, "read", "taken")
    for stage, after in zip(stages, [*stages[1:], "ready"], strict=True):
        for reason, amount in _lost(found, stage).items():
            links.append((node(stage), node(f"{stage}: {reason}"), *_value(amount), _LOST))
            left = {name: left[name] - amount[name] for name in left}
        links.append((node(stage), node(after), *_value(left), _LINK))
    figure = theme.figure([_sankey(nodes, links)], {}, {}, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    for unused in ("xaxis", "yaxis"):
        figure["layout"].pop(unused)
    return Panel(
        name="flow", title="Where the documents went", says="Widths are documents; grey leaves, under its reason.",
        trust="Bytes stand in the hover box; those of a stage's losses are counted before its changes.", figure=figure,
        height=max(320, 26 * sum(": " in name for name in nodes) + 120), min_width=860,
    )  # fmt: skip


def _value(amount: Mapping[str, int]) -> tuple[int, str]:
    return amount["documents"], f"{amount['documents']:,} documents, {_size(amount['bytes'])}"


def _lost(found: Row, stage: str) -> dict[str, dict[str, int]]:
    """The most frequent reasons of a stage, the others together."""
    total: dict[str, dict[str, int]] = {}
    for row in (row for row in found["stages"] if row["stage"] == stage):
        for reason, amount in row["dropped"].items():
            own = total.setdefault(reason, {"documents": 0, "bytes": 0})
            for name in own:
                own[name] += amount[name]
    ordered = sorted(total.items(), key=lambda one: -one[1]["documents"])
    rest = [amount for _, amount in ordered[_FEW:]]
    shown = dict(ordered[:_FEW])
    if rest:
        shown["other reasons"] = {name: sum(amount[name] for amount in rest) for name in ("documents", "bytes")}
    return shown


def _sankey(nodes: Mapping[str, int], links: Sequence[tuple[int, int, int, str, str]]) -> theme.Trace:
    shown = [one for one in links if one[2]]
    return {
        "type": "sankey", "arrangement": "snap", "valueformat": ",d",
        "node": {"label": [label(name, 40) for name in nodes], "pad": 14, "thickness": 14, "line": {"width": 0},
                 "color": [theme.GREY if ": " in name else theme.ACCENT for name in nodes],
                 "hovertemplate": "%{label}<extra></extra>"},
        "link": {"source": [one[0] for one in shown], "target": [one[1] for one in shown],
                 "value": [one[2] for one in shown], "customdata": [one[3] for one in shown],
                 "color": [one[4] for one in shown],
                 "hovertemplate": "%{source.label} to %{target.label}<br>%{customdata}<extra></extra>"},
    }  # fmt: skip


def count_panels(found: Row) -> list[Panel]:
    """Languages and lengths."""
    languages = dict(sorted(found["facts"].get("languages", {}).items(), key=lambda one: -one[1])[:20])
    lengths = {int(size): number for size, number in found["lengths"].items()}
    named = {_size(size): lengths[size] for size in sorted(lengths)}
    bits = found["facts"].get("bits per byte", {})
    bits = {edge: bits[edge] for edge in sorted(bits, key=lambda edge: (edge[0].isalpha(), len(edge), edge))}
    predicted = [_bars("bits", "Bits a byte under the model", bits, "Before the limits; each bar from its number on.")]
    return [
        *(predicted if bits else []),
        _bars("languages", "Languages", languages, "As told by a model from each document's beginning; und: unknown."),
        _bars("lengths", "Lengths of the documents written", named, "Up to so much; each bar twice the one before."),
    ]


def _bars(name: str, title: str, counts: Mapping[str, int], says: str) -> Panel:
    if not counts:
        return Panel(name=name, title=title, reason="Nothing was counted; the stage that does is not in the file.")
    trace = {
        "type": "bar", "x": [label(one) for one in counts], "y": list(counts.values()),
        "marker": {"color": theme.ACCENT}, "hovertemplate": "%{x}: %{y:,}<extra></extra>",
    }  # fmt: skip
    x, y = theme.axis(type="category"), theme.axis(name="documents", rangemode="tozero")
    figure = theme.figure([trace], x, y, margin={"l": 56, "r": 14, "t": 8, "b": 44}, bargap=0.25)
    return Panel(name=name, title=title, says=says, figure=figure, height=250)


def mix_panel(found: Row) -> Panel:
    """The mix that was wanted beside the one that came out."""
    rows = found["mix"]
    sides = [("wanted_share", "wanted", theme.GREY), ("got_share", "got", theme.ACCENT)]
    if any(row["annealing_share"] is not None for row in rows):
        sides.append(("annealing_share", "when annealing", theme.SERIES[1]))
    traces = [
        {
            "type": "bar", "x": [label(row["source"]) for row in rows], "y": [row[key] for row in rows],
            "marker": {"color": colour}, "hovertemplate": f"%{{x}}: %{{y:.2%}} {name}<extra></extra>",
        }
        for key, name, colour in sides
    ]  # fmt: skip
    y = theme.axis(name="share of bytes", tickformat=".0%", rangemode="tozero")
    figure = theme.figure(
        traces, theme.axis(type="category"), y, barmode="group", margin={"l": 56, "r": 14, "t": 8, "b": 44}
    )
    keys = tuple(Key("bar", name, colour) for _, name, colour in sides)
    says = f"Bytes of text; {found['synthetic_share']:.1%} were written by models."
    return Panel(name="mix", title="The mix", says=says, figure=figure, keys=keys, height=250)


def stage_table(found: Row) -> Table:
    """One row a stage, source and reason."""
    heads = ("Stage", "Source", "What", "Reason", "Documents", "MB")
    rows = []
    for row in found["stages"]:
        entries = [("went on", "", row["given"])]
        entries += [(what, reason, amount) for what in ("dropped", "changed") for reason, amount in row[what].items()]
        rows += [_stage_row(row, *entry) for entry in entries]
    return Table(heads, tuple(rows))


def _stage_row(row: Row, what: str, reason: str, amount: Mapping[str, int]) -> TableRow:
    words = [Cell(clean(word), clean(word)) for word in (row["stage"], row["source"], what)]
    numbers = [
        Cell(f"{amount['documents']:,}", amount["documents"]),
        Cell(f"{amount['bytes'] / 1e6:,.3f}", amount["bytes"]),
    ]
    return TableRow((*words, Cell(clean(reason) if reason else "", clean(reason)), *numbers))


def count_tables(found: Row) -> list[tuple[str, str, Table]]:
    """Name, title and table of tokens, personal data, clusters and contamination, where there are any."""
    personal = found["facts"].get("personal", {})
    clusters = [
        (name, size, number) for name, own in found["clusters"].items() for size, number in own["sizes"].items()
    ]
    tokens = [(row["source"], row["tokens"], row["held_out_tokens"], row["documents"], row["shards"],
               f"{row['bytes_per_token']:.2f}") for row in found["tokens"]]  # fmt: skip
    variety = [
        (row["source"], *(f"{row[key]:.3f}" for key in ("distinct_2", "distinct_4", "self_bleu", "compression")),
         "" if row["ratio"] is None else f"{row['ratio']:.2f}", f"{row['part']:.0%}")
        for row in found["variety"]
    ]  # fmt: skip
    spoilt = [(row["task"], row["split"], row["texts"], row["documents"]) for row in found["contamination"]]
    tables = (
        ("tokens", "Tokens packed", ("Source", "Tokens", "Held out", "Documents", "Shards", "Bytes a token"), tokens),
        ("variety", "Variety of what models wrote", _VARIETY, variety),
        ("personal", "Personal data by type", ("Type", "Found"), list(personal.items())),
        ("clusters", "Clusters of duplicates by size", ("Stage", "Documents", "Clusters"), clusters),
        ("contamination", "Texts of tasks", ("Task", "Split", "Texts found", "In documents"), spoilt),
    )
    return [(name, title, _table(heads, rows)) for name, title, heads, rows in tables if rows]


def _table(heads: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Table:
    return Table(heads, tuple(TableRow(tuple(map(_cell, row))) for row in rows))


def _cell(value: Any) -> Cell:
    return Cell(f"{value:,}", value) if isinstance(value, int) else Cell(clean(value), clean(value))


def samples(found: Row) -> list[tuple[str, list[dict[str, str]]]]:
    """Dropped and changed documents by stage and reason, each on one line and cut."""
    groups: dict[str, list[dict[str, str]]] = {}
    for one in found["samples"]:
        name = f"{one['stage']}: {one['what']}, {one['reason']}"
        after = cut(one["after"], 300) if one["after"] else ABSENT
        own = {"id": cut(one["id"], 80), "before": cut(one["before"], 300), "after": after}
        groups.setdefault(clean(name), []).append(own)
    return list(groups.items())
