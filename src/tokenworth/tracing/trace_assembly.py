"""From the measured cells of a task to its rows, crossings and answer; and from all tasks to a Trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenworth.base.aliases import Facts
from tokenworth.base.versions import describe_environment
from tokenworth.tasks import Task
from tokenworth.tracing.crossing import find_crossing
from tokenworth.tracing.curve_fit import fit_curve
from tokenworth.tracing.f1_curves import Curve, make_curves
from tokenworth.tracing.measurer import SCORES
from tokenworth.tracing.run_reader import Checkpoint, Run
from tokenworth.tracing.score_relations import relations
from tokenworth.tracing.trace_result import CheckpointRow, Crossing, Fit, Gain, RunFacts, TaskEntry, Trace, TraceRow
from tokenworth.tracing.trace_settings import TraceSettings
from tokenworth.tracing.trace_summary import overall, task_sentences, verdict_of


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """Everything measured on one task."""

    bow: Facts
    assessed: dict[int, Facts]
    """By tokens."""
    lora: dict[int, list[Facts]]
    """By tokens, one a seed."""
    scratch: list[Facts]
    """One a seed."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """What was found on one task."""

    task: TaskEntry
    """As in `Trace.tasks`."""
    rows: list[TraceRow]
    """As in `Trace.rows`."""


@dataclass(frozen=True, eq=False, slots=True)
class _Routes:
    """Curves of the routes that were run, and the checkpoints those along the run were measured at."""

    curves: dict[str, Curve]
    tokens: dict[str, list[int]]

    @property
    def along(self) -> list[str]:
        return [route for route in ("probe", "lora") if route in self.curves]

    @property
    def references(self) -> dict[str, Curve]:
        return {name: self.curves[name] for name in ("bow", "scratch") if name in self.curves}


def find_part(run: Run, task: Task, measured: Measured, seed: int) -> Part:
    """Curves under one resampling of the test texts, and what follows from them."""
    tokens = {"probe": run.tokens, "lora": sorted(measured.lora)}
    predicted = {
        "bow": [[measured.bow["predictions"]]],
        "scratch": [[cell["predictions"] for cell in measured.scratch]],
        "probe": [[measured.assessed[at]["predictions"]] for at in tokens["probe"]],
        "lora": [[cell["predictions"] for cell in measured.lora[at]] for at in tokens["lora"]],
    }
    measured_routes = {route: runs for route, runs in predicted.items() if runs and runs[0]}
    routes = _Routes(make_curves(task.test.labels, measured_routes, task.n_classes, seed=seed), tokens)
    rows = [_row(run, task.name, at, measured.assessed[at], routes) for at in run.tokens]
    return Part(_task_entry(run, task, measured, routes, rows), rows)


def _row(run: Run, task: str, tokens: int, assessed: Facts, routes: _Routes) -> TraceRow:
    """One checkpoint on one task."""
    row: TraceRow = {
        "task": task,
        "tokens": tokens,
        "flops": tokens * run.flops_per_token,
        "bits_per_byte": run.losses.bits_at(tokens),
        "train_loss": run.losses.train_at(tokens),
        "text_bits_per_byte": assessed["text_bits_per_byte"],
    }
    for route in ("probe", "lora", "bow", "scratch"):
        row |= _figures(route, tokens, routes)
    row |= {"probe": assessed["probe"], "best_layer": assessed["best_layer"], **assessed["chosen"]}
    return row | {f"last_{name}": assessed["last"][name] for name in SCORES}


def _figures(route: str, tokens: int, routes: _Routes) -> dict[str, float | None]:
    """F1 of a route at a checkpoint with its ends; None where it was not run there."""
    names, at = [f"{route}_f1{end}" for end in ("", "_low", "_high")], routes.tokens.get(route, [tokens])
    if route not in routes.curves or tokens not in at:
        return dict.fromkeys(names)
    figure = routes.curves[route].figure(at.index(tokens))
    return dict(zip(names, (figure["f1"], figure["low"], figure["high"]), strict=True))


def _task_entry(run: Run, task: Task, measured: Measured, routes: _Routes, rows: list[TraceRow]) -> TaskEntry:
    crossings = _crossings(routes)
    gains = [_gain(route, routes) for route in routes.along if len(routes.tokens[route]) > 1]
    entry: TaskEntry = {
        "name": task.name,
        "source": task.source,
        "n_classes": task.n_classes,
        "texts": {"train": len(task.train), "test": len(task.test)},
        "fingerprint": task.fingerprint,
        "notes": list(task.notes),
        "references": {name: curve.figure(0) for name, curve in routes.references.items()},
        "crossings": crossings,
        "gains": gains,
        "fits": _fits(run, routes),
        "relations": relations(rows),
        "costs": _costs(measured),
        "verdict": verdict_of(crossings, gains),
        "sentences": [],
    }
    return {**entry, "sentences": task_sentences(entry, run_facts(run))}


def _crossings(routes: _Routes) -> list[Crossing]:
    """Of every route over every reference, and over the best of them ("both") where there are two."""
    compared = {name: [curve] for name, curve in routes.references.items()}
    if len(compared) > 1:
        compared["both"] = list(routes.references.values())
    return [
        {"route": route, "reference": name, **find_crossing(routes.tokens[route], routes.curves[route], curves)}
        for route in routes.along
        for name, curves in compared.items()
    ]


def _gain(route: str, routes: _Routes) -> Gain:
    """Last checkpoint of a route minus its first, with a paired interval."""
    curve, tokens = routes.curves[route], routes.tokens[route]
    low, high = np.quantile(curve.drawn_BK[:, -1] - curve.drawn_BK[:, 0], [0.025, 0.975])
    return {
        "route": route,
        "from_tokens": tokens[0],
        "to_tokens": tokens[-1],
        "gain": float(curve.f1_K[-1] - curve.f1_K[0]),
        "low": float(low),
        "high": float(high),
    }


def _fits(run: Run, routes: _Routes) -> list[Fit]:
    flops = {route: [tokens * run.flops_per_token for tokens in routes.tokens[route]] for route in routes.along}
    fitted = {route: fit_curve(flops[route], routes.curves[route], routes.references) for route in routes.along}
    return [{"route": route, **curve} for route, curve in fitted.items() if curve is not None]


def _costs(measured: Measured) -> dict[str, float]:
    """Mean training FLOPs of one run of each learned route."""
    cells = {"lora": [cell for runs in measured.lora.values() for cell in runs], "scratch": measured.scratch}
    known = {route: [cell["train_flops"] for cell in runs if cell["train_flops"]] for route, runs in cells.items()}
    return {route: sum(flops) / len(flops) for route, flops in known.items() if flops}


def run_facts(run: Run) -> RunFacts:
    """As in `Trace.run`."""
    last = run.tokens[-1]
    facts: RunFacts = {
        "name": run.name,
        "parameters": run.parameters,
        "tokens": last,
        "flops": last * run.flops_per_token,
        "flops_per_token": run.flops_per_token,
        "held_out_sources": list(run.losses.sources),
    }
    if run.folder is not None:
        facts["folder"] = str(run.folder)
    return facts


def _checkpoint_row(run: Run, checkpoint: Checkpoint, settings: TraceSettings) -> CheckpointRow:
    row: CheckpointRow = {
        "tokens": checkpoint.tokens,
        "flops": checkpoint.tokens * run.flops_per_token,
        "bits_per_byte": run.losses.bits_at(checkpoint.tokens),
        "train_loss": run.losses.train_at(checkpoint.tokens),
        "fingerprint": checkpoint.fingerprint,
        "adapted": checkpoint.tokens in settings.adapted,
    }
    if checkpoint.name and checkpoint.name != f"tokens-{checkpoint.tokens}":
        row["name"] = checkpoint.name
    return row


def assemble(run: Run, settings: TraceSettings, parts: list[Part]) -> Trace:
    """All tasks together."""
    tasks, facts = [part.task for part in parts], run_facts(run)
    return Trace(
        run=facts,
        checkpoints=[_checkpoint_row(run, checkpoint, settings) for checkpoint in run.checkpoints],
        tasks=tasks,
        rows=[row for part in parts for row in part.rows],
        settings=settings.asdict(),
        sentences=overall(tasks, facts),
        notes=list(run.notes),
        environment=describe_environment(),
    )
