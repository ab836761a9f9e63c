"""What pages and tables read of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenworth.adaptation.route_names import route_title
from tokenworth.report.displayed_values import ABSENT, clean, flops_text, number, sentence, tokens_text
from tokenworth.report.pages.panel_words import names_of

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.decision import Decision
    from tokenworth.tracing import Trace
    from tokenworth.tracing.trace_result import Crossing, TaskEntry

Row = Mapping[str, Any]
ROUTES = {name: route_title(name) for name in ("probe", "lora")}
REFERENCES = {"bow": route_title("bow"), "scratch": f"training {route_title('scratch')}", "both": "both"}
ANSWERS = {"yes": "yes", "no": "no", "unclear": "cannot tell", "without": "no: random does"}


def row_at(result: Assessment, layer: int) -> Row:
    """The scores of one layer; an empty mapping when it was not assessed."""
    return next((row for row in result.layers if row["layer"] == layer), {})


def reading_name(pooling: str, states: str) -> str:
    """How texts are read, for tables and keys: last+mean, or mean, raw."""
    return pooling if states == "normalised" else f"{pooling}, raw"


def reading_at(result: Assessment, layer: int) -> str:
    """What the probe of a layer reads: the best of what was tried; empty in results that keep none."""
    here = [row for row in result.poolings if row["layer"] == layer]
    best = min(here, key=lambda row: row["cv_loss"], default=None)
    return "" if best is None else reading_name(best["pooling"], best["states"])


def best_probe(result: Assessment) -> Row:
    """The probe whose confusion is reported, else the last one fitted on the backbone's features, else nothing."""
    fitted = [probe for probe in result.probes if probe.get("kind") not in ("bow", "majority")]
    named = [probe for probe in fitted if probe["name"] == result.confusion.get("probe")]
    return next(iter(named or reversed(fitted)), {})


def probe_of_kind(result: Assessment, kind: str) -> Row:
    """The first probe of a kind ("bow", "majority", ...), or an empty mapping."""
    return next((probe for probe in result.probes if probe.get("kind") == kind), {})


def rank_figures(row: Row) -> Row:
    """f1, f1_low, f1_high and accuracy of a ranking's row: of the best probe it is ranked by, else the ridge probe."""
    prefix = "best_" if row.get("best_f1") is not None else "probe_"
    return {key: row.get(prefix + key) for key in ("f1", "f1_low", "f1_high", "accuracy")}


def is_tied(row: Row) -> bool:
    """Whether a backbone is within noise of the best without being the best."""
    return bool(row.get("tied")) and row.get("rank") != 1


def remark(row: Row) -> str:
    """What is special about a backbone's place: that it failed and why, or that it shares the first place."""
    if row.get("failed"):
        return f"failed: {clean(row['failed'])}"
    return "tied with the best" if is_tied(row) else ""


def metric_word(decision: Decision) -> str:
    """What routes are compared by: weighted F1."""
    words = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    return words.get(str(decision.settings.get("metric")), "weighted F1")


def is_advised(decision: Decision, row: Row) -> bool:
    """Whether an option is the one that is advised."""
    advised: Row = decision.recommended or {}
    return bool(advised) and all(row.get(name) == advised.get(name) for name in ("model", "route"))


def kept_out(row: Row) -> tuple[str, ...]:
    """Why a route of a decision is not to be had."""
    if row["affordable"]:
        return ()
    return ("beyond the budget",) if row.get("fits", True) else ("does not fit into memory",)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason not to trust a score, with all the layers it holds for."""

    score: str
    where: str
    reason: str


def shared_sentences(ranking: Ranking) -> list[str]:
    """What is said alike of every backbone of a ranking, to be read once; nothing where there is one backbone."""
    first, *others = [result.sentences for result in ranking.assessments] or [[]]
    return [said for said in first if others and all(said in sentences for sentences in others)]


def doubts(result: Assessment) -> list[Doubt]:
    """The flags, those with one reason joined over their layers."""
    grouped: dict[tuple[str, str], list[int | None]] = {}
    for flag in result.flags:
        grouped.setdefault((clean(flag["score"]), sentence(flag["reason"])), []).append(flag.get("layer"))
    names = {**names_of("columns"), "all": "Every score"}
    return [
        Doubt(names.get(score) or names.get(score.partition("_")[0], score.replace("_", " ")), _where(layers), reason)
        for (score, reason), layers in grouped.items()
    ]


def _where(layers: list[int | None]) -> str:
    known = [layer for layer in layers if layer is not None]
    return layers_text(known) if len(known) == len(layers) else "all layers"


def layers_text(layers: list[int]) -> str:
    """``layer 3``, ``layers 0 to 4 and 6``: consecutive numbers joined."""
    runs: list[list[int]] = []
    for layer in sorted(set(layers)):
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    listed = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)
    return f"layer{'s' if sum(map(len, runs)) > 1 else ''} {listed}"


def last_row(trace: Trace, task: TaskEntry) -> Row:
    """The last checkpoint of a task, with LoRA's figures at the last one that it adapted."""
    rows = [row for row in trace.rows if row["task"] == task["name"]]
    adapted = [row for row in rows if number(row["lora_f1"]) is not None]
    names = [name for name in rows[-1] if name.startswith("lora_")] if adapted else []
    return {**rows[-1], **{name: adapted[-1][name] for name in names}}


def crossing_range(crossing: Crossing) -> str:
    """The interval of a crossing; an end that lies beyond the run is said so."""
    if crossing["low"] is None:
        return "never"
    high = "never" if crossing["high"] is None else tokens_text(crossing["high"])
    low = tokens_text(crossing["low"])
    return low if low == high else f"{low} to {high}"


def crossing_flops(trace: Trace, crossing: Crossing) -> str:
    """FLOPs of the run up to a crossing."""
    tokens = number(crossing["tokens"])
    return ABSENT if tokens is None else flops_text(tokens * trace.run["flops_per_token"], "0")


def meeting_flops(flops: float | None) -> str:
    """Where a fitted curve meets a reference; None is more than a thousand runs away."""
    return flops_text(flops) if flops else "nowhere in sight"
