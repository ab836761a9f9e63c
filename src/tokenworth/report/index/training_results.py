"""What the index reads of pretraining and of what goes before and after it: corpora, mixtures, runs and traces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from tokenworth.adaptation.route_names import route_title
from tokenworth.base.schema import COUNT, FINITE, LEAF, NUMBER, OBJECT, TEXT, TRUTH, Each, Shape
from tokenworth.report.displayed_values import clean, number, tokens_text
from tokenworth.report.index.index_entry import BOW, F1, Curve, Described, Headline, Reference, facts_of
from tokenworth.report.index.labelled_results import COMMON, Content
from tokenworth.report.result_values import ANSWERS

_TRACED: Shape = {
    "name": TEXT,
    "fingerprint?": TEXT,
    "references": Each({"f1": FINITE}),
    "verdict?": {"answer": TEXT, "route": TEXT},
}
TRACE: dict[str, Shape] = {
    "run": {"name": TEXT, "tokens": COUNT},
    "tasks": [_TRACED],
    "rows": [{"task": TEXT, "tokens": COUNT, "probe_f1": NUMBER}],
    "settings": OBJECT,
    **COMMON,
}
PRETRAINING: dict[str, Shape] = {
    "settings": OBJECT,
    "parameters": Each(NUMBER),
    "train_flops_per_token": FINITE,
    "sources": Each({}),
    "environment?": Each(LEAF),
    "tokens?": COUNT,
    "seconds?": NUMBER,
    "held_out?": Each({"bits_per_byte?": NUMBER}),
    "finished?": TRUTH,
}
_AMOUNT: Shape = {"documents": COUNT, "bytes": COUNT}
CORPUS: dict[str, Shape] = {
    "name": TEXT,
    "stages": [{"stage": TEXT, "source": TEXT, "taken": _AMOUNT, "given": _AMOUNT}],
    "output": {"documents": COUNT, "bytes": COUNT},
    "mix": [{"source": TEXT, "got_share": NUMBER}],
    "settings": OBJECT,
    "version?": TEXT,
}
_ROUND: Shape = {"weights": Each(NUMBER), "reference": Each(NUMBER), "proxy": Each(NUMBER)}
MIXTURE: dict[str, Shape] = {"weights": Each(FINITE), "rounds": [_ROUND], "settled": TRUTH, "settings?": OBJECT}
_LONGEST_LINE, _MOST_JOURNAL = 1_000_000, 50_000_000
"""Bytes; of a journal that is longer no curve is read."""


def trace(content: Content, _folder: Path) -> Described:
    """F1 at the run's end beside bag of words and random weights, as means over its tasks."""
    ends = [(task, *_end(content, task)) for task in content["tasks"]]
    figures = [value for _, _, value in ends if value is not None]
    told = [task for task, _, value in ends if value is not None]
    answers = [ANSWERS.get(task["verdict"]["answer"], "") for task in told if "verdict" in task]
    worth = f"worth it on {answers.count('yes')} of {len(content['tasks'])}"
    over = "mean over tasks, " if len(told) > 1 else ""
    headline = Headline(F1, fmean(figures), references=_means(told), remark=over + worth) if figures else None
    numbers = {f"{task['name']}: {route or 'probe'} at the end": value for task, route, value in ends}
    numbers |= {f"{task['name']}: {name}": row["f1"] for task in told for name, row in task["references"].items()}
    names = [clean(task["name"]) for task in content["tasks"]]
    return Described(
        title=f"{clean(content['run']['name'])}, {tokens_text(content['run']['tokens'])} tokens",
        task=", ".join(names[:3]) + ", …" * (len(names) > 3),
        headline=headline,
        sentence=_first(content.get("sentences", ())),
        facts={
            "Data": facts_of({task["name"]: task.get("fingerprint", "") for task in content["tasks"]}),
            "Model": facts_of(content["run"]),
            "Settings": facts_of(content["settings"]),
            "Versions": facts_of(content.get("environment", {})),
            "Numbers": facts_of(numbers),
        },
        fingerprint=told[0].get("fingerprint", "") if len(content["tasks"]) == 1 and told else "",
        route="trace",
        curves=tuple(_perception(content)),
    )


def _end(content: Content, task: Content) -> tuple[str, float | None]:
    """The route of a task's answer, and its F1 at the last checkpoint that has one."""
    route = task["verdict"]["route"] if "verdict" in task else "probe"
    values = [number(row.get(f"{route}_f1")) for row in content["rows"] if row["task"] == task["name"]]
    return route, next((value for value in reversed(values) if value is not None), None)


def _means(tasks: list[Content]) -> tuple[Reference, ...]:
    names = {name: route_title(name) for name in ("bow", "scratch")}
    shares = {name: [task["references"][name]["f1"] for task in tasks if name in task["references"]] for name in names}
    return tuple(Reference(names[name], fmean(f1)) for name, f1 in shares.items() if f1 and len(f1) == len(tasks))


def _perception(content: Content) -> Iterator[Curve]:
    for task in content["tasks"]:
        rows = [row for row in content["rows"] if row["task"] == task["name"] and number(row["probe_f1"]) is not None]
        bow = task["references"].get("bow")
        if len(rows) > 1:
            x, y = ([float(row[name]) for row in rows] for name in ("tokens", "probe_f1"))
            yield Curve(clean(task["name"]), tuple(x), tuple(y), "F1 of the probe", bow and Reference(BOW, bow["f1"]))


def pretraining(content: Content, folder: Path) -> Described:
    """Bits a byte on held-out documents beside those at the start."""
    looks = list(_looks(folder / "metrics.jsonl"))
    held = {name: number(row.get("bits_per_byte")) for name, row in content.get("held_out", {}).items()}
    known = {name: value for name, value in held.items() if value is not None}
    at_start = [bits[name] for tokens, bits in looks[:1] if tokens == 0 for name in known if name in bits]
    references = (Reference("at the start", fmean(at_start)),) if at_start and len(at_start) == len(known) else ()
    tokens, finished = content.get("tokens", 0), content.get("finished", False)
    size = f"{tokens_text(content['parameters'].get('total'))} parameters, {tokens_text(tokens)} tokens"
    remark = f"mean over {len(known)} sources" if len(known) > 1 else ""
    figure = Headline("bits a byte", fmean(known.values()), None, None, references, remark, True) if known else None
    return Described(
        title=size,
        headline=figure,
        sentence="" if finished else "The run is not finished; the same command goes on where it stopped.",
        facts={
            "Data": facts_of(content["sources"]),
            "Model": facts_of(content["parameters"]),
            "Settings": facts_of(content["settings"]),
            "Versions": facts_of(content.get("environment", {})),
            "Numbers": facts_of({"tokens": tokens, **{f"bits a byte: {name}": value for name, value in held.items()}}),
        },
        seconds=number(content.get("seconds")),
        route="pretraining",
        curves=tuple(_losses(looks, references)),
        finished=finished,
    )


def _looks(journal: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Tokens, and bits a byte by source, of each look at held-out documents; what cannot be read is passed over."""
    try:
        if not journal.is_file() or journal.stat().st_size > _MOST_JOURNAL:
            return
        lines = [line for line in journal.read_bytes().splitlines() if b'"held_out"' in line[:_LONGEST_LINE]]
    except OSError:
        return
    yield from (look for look in map(_look, lines) if look is not None)


def _look(line: bytes) -> tuple[int, dict[str, float]] | None:
    try:
        row = json.loads(line)
        bits = {name: number(held.get("bits_per_byte")) for name, held in row["held_out"].items()}
        return int(row["tokens"]), {name: value for name, value in bits.items() if value is not None}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _losses(looks: list[tuple[int, dict[str, float]]], references: tuple[Reference, ...]) -> Iterator[Curve]:
    points = [(float(tokens), fmean(bits.values())) for tokens, bits in looks if bits]
    if len(points) > 1:
        x, y = zip(*points, strict=True)
        yield Curve("held out", x, y, "bits a byte", next(iter(references), None))


def corpus(content: Content, _folder: Path) -> Described:
    """Documents that are left beside those that were read."""
    rows, kept = content["stages"], content["output"]["documents"]
    first = rows[0]["stage"] if rows else ""
    read = sum(row["taken"]["documents"] for row in rows if row["stage"] == first)
    remark = f"{kept / read:.0%} kept" if read else ""
    references = (Reference("read", float(read)),) if read else ()
    return Described(
        title=clean(content["name"]),
        headline=Headline("documents", float(kept), references=references, remark=remark, is_share=False),
        sentence=f"{kept:,} of {read:,} documents are left, {content['output']['bytes']:,} bytes." if read else "",
        facts={
            "Data": facts_of({f"{row['source']}: share of bytes": row["got_share"] for row in content["mix"]}),
            "Settings": facts_of(content["settings"]),
            "Versions": facts_of({"tokenworth": content.get("version", "")}),
            "Numbers": facts_of({**content["output"], "read": read, **_by_stage(rows)}),
        },
        route="corpus",
    )


def _by_stage(rows: Iterable[Content]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        name = f"documents after {row['stage']}"
        counts[name] = counts.get(name, 0) + row["given"]["documents"]
    return counts


def mixture(content: Content, _folder: Path) -> Described:
    """Held-out loss of the proxy on the weights that were found, beside the reference on those before."""
    last = content["rounds"][-1] if content["rounds"] else {"reference": {}, "proxy": {}}
    proxy, reference = (_known(last[name]) for name in ("proxy", "reference"))
    beside = (Reference("on the weights before", fmean(reference)),) if reference else ()
    shares = ", ".join(f"{clean(name)} {value:.2f}" for name, value in content["weights"].items())
    settled = "Settled" if content["settled"] else "Not settled"
    return Described(
        title=shares,
        headline=Headline("nats a token", fmean(proxy), None, None, beside, "", True) if proxy else None,
        sentence=f"{settled} after {len(content['rounds'])} rounds: {shares}.",
        facts={
            "Settings": facts_of(content.get("settings", {})),
            "Numbers": facts_of({"weights": content["weights"], "settled": content["settled"], **last}),
        },
        route="mixture",
    )


def _known(values: Mapping[str, Any]) -> list[float]:
    return [value for value in map(number, values.values()) if value is not None]


def _first(sentences: Iterable[str]) -> str:
    return next((clean(text) for text in sentences), "")
