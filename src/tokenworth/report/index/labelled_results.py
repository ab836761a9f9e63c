"""What the index reads of results on labelled texts: assessments, rankings, decisions and runs.

Of each file only the parts named in its shape are read; a shape asks for no more than the row of the index shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_names import route_title
from tokenworth.base.schema import COUNT, FINITE, LEAF, NUMBER, OBJECT, TEXT, TRUTH, Each, Maybe, Shape
from tokenworth.report.displayed_values import clean, number, short
from tokenworth.report.index.index_entry import (
    BOW,
    F1,
    MAJORITY,
    Described,
    Facts,
    Headline,
    Reference,
    facts_of,
)

Content = Mapping[str, Any]

TASK: Shape = {"name": TEXT, "fingerprint?": TEXT, "texts?": {"train?": COUNT, "test?": COUNT}, "source?": TEXT}
_BACKBONE: Shape = {"name": TEXT, "n_parameters?": NUMBER, "random?": TRUTH}
_PROBE: Shape = {"name": TEXT, "kind": TEXT, "f1": NUMBER, "f1_low?": NUMBER, "f1_high?": NUMBER}
COMMON: dict[str, Shape] = {"sentences?": [TEXT], "environment?": Each(LEAF)}
"""What most results have."""
ASSESSMENT: dict[str, Shape] = {
    "task": TASK,
    "backbone": _BACKBONE,
    "settings": OBJECT,
    "best_layer": COUNT,
    "probes": [_PROBE],
    "best_pooling?": TEXT,
    "confusion": {"probe?": TEXT},
    "timings?": Each(NUMBER),
    **COMMON,
}
_RANKED: Shape = {"name": TEXT, "failed?": Maybe(TEXT), "best_f1?": NUMBER, "probe_f1?": NUMBER, "seconds?": NUMBER}
RANKING: dict[str, Shape] = {"task": TASK, "rows": [_RANKED], "baseline": {"f1?": NUMBER}, **COMMON}
_OPTION: Shape = {"model": Maybe(TEXT), "route": TEXT, "f1": NUMBER, "f1_low?": NUMBER, "f1_high?": NUMBER}
DECISION: dict[str, Shape] = {
    "task": TASK,
    "options": [_OPTION],
    "recommended": Maybe({**_OPTION, "source?": TEXT, "seconds?": NUMBER}),
    "settings": OBJECT,
    **COMMON,
}
RUN: dict[str, Shape] = {
    "route": TEXT,
    "task": TASK,
    "backbone": Maybe(_BACKBONE),
    "seed": COUNT,
    "settings": OBJECT,
    "metrics": Each(NUMBER),
    "parameters?": Each(NUMBER),
    "facts?": OBJECT,
    "cost": {"seconds": FINITE},
    **COMMON,
}
_OF_PROBES = ("name", "f1", "f1_low", "f1_high", "accuracy", "macro_f1")
_UNTOLD = ("label_names", "notes", "counts")
"""Of a task or a model: long, and told by its fingerprint or page."""


def assessment(content: Content, _folder: Path) -> Described:
    """Best probe beside the bag of words and the majority class."""
    probes, best_name = content["probes"], content["confusion"].get("probe")
    best: Content = next((probe for probe in probes if probe["name"] == best_name), {})
    references = [
        *_reference(BOW, _of_kind(probes, "bow").get("f1")),
        *_reference(MAJORITY, _of_kind(probes, "majority").get("f1")),
    ]
    rows = {"best probe": best, BOW: _of_kind(probes, "bow"), MAJORITY: _of_kind(probes, "majority")}
    numbers = {"best layer": content["best_layer"], "best pooling": content.get("best_pooling")} | {
        f"{what}: {name}": row[name] for what, row in rows.items() for name in _OF_PROBES if name in row
    }
    return Described(
        title=short(content["backbone"]["name"], 1),
        headline=_headline(F1, best, "f1", references, str(best.get("name", ""))),
        facts=_sections(content, numbers | _named("seconds", content.get("timings", {}))),
        seconds=number(content.get("timings", {}).get("total")),
        route="probe",
        random=bool(content["backbone"].get("random")),
        references=tuple(references),
        **_of_task(content),
    )


def ranking(content: Content, _folder: Path) -> Described:
    """The best model beside the bag of words, and how many there are."""
    done = [row for row in content["rows"] if not row.get("failed")]
    first = done[0] if done else {}
    prefix = "best_" if number(first.get("best_f1")) is not None else "probe_"
    references = _reference(BOW, content["baseline"].get("f1"))
    best = short(first["name"], 1) if done else ""
    remark = f"best of {len(content['rows'])}: {best}" if done else "every model failed"
    seconds = [time for time in (number(row.get("seconds")) for row in done) if time is not None]
    numbers = {
        f"{row['name']}: {name.removeprefix('best_')}": row.get(name)
        for row in content["rows"]
        for name in ("rank", "best_layer", "best_f1", "best_accuracy", "seconds", "failed")
        if row.get(name) is not None
    }
    return Described(
        title=", ".join(short(row["name"], 1) for row in content["rows"][:3]) + (", …" * (len(content["rows"]) > 3)),
        best=best,
        headline=_headline(
            F1, {"f1": first.get(f"{prefix}f1"), **_ends(first, f"{prefix}f1")}, "f1", references, remark
        ),
        facts=_sections(content, numbers | {"bag of words: f1": content["baseline"].get("f1")}),
        seconds=sum(seconds) if seconds else None,
        route="probe",
        references=tuple(references),
        **_of_task(content),
    )


def decision(content: Content, _folder: Path) -> Described:
    """What is expected of the advised route, beside the bag of words."""
    advised = content["recommended"] or {}
    bow: Content = next((row for row in content["options"] if row["route"] == "bow"), {})
    source = clean(advised["source"]) if "source" in advised else ""
    metric = {"accuracy": "accuracy", "macro_f1": "macro F1"}.get(str(content["settings"].get("metric")), F1)
    references = _reference(BOW, bow.get("f1"))
    remark = f"{source}, 90 % interval" if source else "no route can be afforded"
    numbers = {
        f"{_option_name(row)}: {name}": row.get(name)
        for row in content["options"]
        for name in ("f1", "f1_low", "f1_high", "source", "affordable", "seconds", "flops")
    }
    return Described(
        title=_option_name(advised) if advised else "no route",
        headline=_headline(metric, advised, "f1", references, remark),
        facts=_sections(content, numbers),
        seconds=number(advised.get("seconds")),
        route="decision",
        references=tuple(references) if bow.get("source") == "measured" and metric == F1 else (),
        **_of_task(content),
    )


def run(content: Content, _folder: Path) -> Described:
    """Weighted F1 of a route beside the majority class; the bag of words stands in another result of the folder."""
    backbone, route, metrics = content["backbone"], content["route"], content["metrics"]
    majority = content.get("facts", {}).get("majority")
    share = majority.get("weighted_f1") if isinstance(majority, Mapping) else None
    references = _reference(MAJORITY, share)
    value = number(metrics.get("weighted_f1"))
    cost = {name: fact for name, fact in content["cost"].items() if name != "stages"}
    numbers = {**metrics, **_named("parameters", content.get("parameters", {})), **_named("cost", cost)}
    return Described(
        title=titled(route, backbone and backbone["name"], _tuning(content)),
        headline=_headline(F1, metrics, "weighted_f1", references),
        facts=_sections(content, numbers, {"route": route, "seed": content["seed"]}),
        seconds=number(content["cost"]["seconds"]),
        route=route,
        random=route == "scratch" or bool(backbone and backbone.get("random")),
        references=(*references, *(_reference(BOW, value) if route == "bow" else ())),
        **_of_task(content),
    )


def _tuning(content: Content) -> str | None:
    settings = content.get("settings")
    tuning = settings.get("tuning") if isinstance(settings, Mapping) else None
    return tuning if isinstance(tuning, str) else None


def titled(route: str, model: str | None, tuning: str | None = None) -> str:
    """A route, its tuning where that is not LoRA, and the model that it is of, as people say them."""
    name = clean(route_title(route) + (f" ({tuning})" if route == "lora" and tuning else ""))
    return f"{name}, {short(model, 1)}" if model else name


def _of_kind(probes: Iterable[Content], kind: str) -> Content:
    return next((probe for probe in probes if probe["kind"] == kind), {})


def _reference(name: str, value: Any) -> list[Reference]:
    finite = number(value)
    return [] if finite is None else [Reference(name, finite)]


def _headline(name: str, row: Content, key: str, references: list[Reference], remark: str = "") -> Headline | None:
    value = number(row.get(key))
    if value is None:
        return None
    low, high = (number(row.get(f"{key}_{end}")) for end in ("low", "high"))
    return Headline(name, value, low, high, tuple(references), clean(remark) if remark else "")


def _ends(row: Content, key: str) -> dict[str, Any]:
    return {f"f1_{end}": row.get(f"{key}_{end}") for end in ("low", "high")}


def _option_name(row: Content) -> str:
    return titled(row["route"], row["model"])


def _named(what: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{what}: {name}": value for name, value in values.items()}


def _of_task(content: Content) -> dict[str, Any]:
    task = content["task"]
    return {
        "task": clean(task["name"]),
        "fingerprint": task.get("fingerprint", ""),
        "texts": number(task.get("texts", {}).get("train")),
        "sentence": clean(content["sentences"][0]) if content.get("sentences") else "",
    }


def _sections(content: Content, numbers: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> Facts:
    model = content.get("backbone") or {}
    return {
        "Data": facts_of(content["task"], _UNTOLD),
        "Model": facts_of(model, _UNTOLD),
        "Settings": facts_of({**(asked or {}), **content.get("settings", {})}),
        "Versions": facts_of(content.get("environment", {})),
        "Numbers": facts_of(numbers),
    }
