"""decide: one assessment a backbone, then what every route would bring and cost, and which to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.assessment import assess
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.base.machine import free_on
from tokenworth.base.versions import describe_environment
from tokenworth.decision.advice import DRAWS, Option, pick, weigh
from tokenworth.decision.assessments import look
from tokenworth.decision.budget import HERE, Machine, named_machine, parse_budget
from tokenworth.decision.calibration import cells_of, described, full_length
from tokenworth.decision.conformal import tasks_drawn
from tokenworth.decision.decision_metric import DEFAULT_METRIC, metric_named, under
from tokenworth.decision.decision_result import Decision, OptionRow
from tokenworth.decision.decision_summary import describe
from tokenworth.decision.forecaster import LEVEL, Forecaster
from tokenworth.decision.options import Work
from tokenworth.decision.pilot import check_share, run_pilots
from tokenworth.decision.predictors import DEFAULT
from tokenworth.decision.run_plan import plan_for
from tokenworth.settings import (
    Fraction,
    NonNegative,
    OutFolder,
    Positive,
    Seed,
    checked_arguments,
    setting_names,
    settings_for,
)
from tokenworth.tasks import Task, load_task

TOLERANCE = 0.01


@checked_arguments
def decide(
    task: str | Task,
    models: Sequence[str],
    *,
    metric: str = DEFAULT_METRIC,
    budget: str | None = None,
    tolerance: Fraction = TOLERANCE,
    hardware: str = HERE,
    price: NonNegative | None = None,
    calibration: Sequence[str | Path] = (),
    config: AdaptConfig | dict[str, Any] | str | Path | None = None,
    predictor: str = DEFAULT,
    pilot: Positive | None = None,
    labels: bool = False,
    max_texts: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: Seed = 0,
    out: OutFolder = None,
    started: Callable[[str], None] | None = None,
    **settings: Any,
) -> Decision:
    """Which route is worth its cost: bag of words, prompt, probe, LoRA, full training or training from scratch?

    Each backbone is assessed by one forward pass, which already gives the routes bow and probe.  What the learned
    routes would bring is predicted from finished cells of studies; what they would cost is counted.

    Args:
        task: anything `load_task` takes, or a Task.
        models: folders, hub ids or published names; one that fails is reported, and the others go on.
        metric: what routes are compared by: "weighted_f1" (or "f1"), "accuracy" or "macro_f1"; the fields of the result
            that are named f1 hold it.
        budget: most that a route may cost: "2h", "$5" (with `price`) or "1e15flops".
        tolerance: how much of the metric may be lost for a lower cost.
        hardware: what the learned routes would run on: "here", or a card of `HARDWARE`.
        price: money an hour of it costs.
        calibration: folders of studies to learn from, beside the cells that come with the package; "published" adds
            the second paper's LoRA runs.
        config: settings of the learned routes; steps and learning rate are otherwise those of the calibration's runs.
        predictor: name of one of `predictors`.
        pilot: share of the learned routes' time to spend on short runs first.
        labels: also find out how F1 grows with the number of training texts.
        max_texts: assess a sample of so many texts of each part; costs are those of all texts.
        device: of the assessment; what is measured as "here" too.
        dtype: of the assessment.
        seed: of everything random.
        out: folder for decision.json.
        started: called with the name of each backbone before it is assessed.
        settings: more of the assessment: pooling, max_length, cache, ...

    Raises:
        TaskError, BackboneError, SettingError: what is given cannot be used.
    """
    settings = settings_for(assess, settings, "decide has", setting_names(decide))
    task = task if isinstance(task, Task) else load_task(task, seed=seed)
    limit = None if budget is None else parse_budget(budget, price)
    check_share(pilot)
    metric = metric_named(metric)
    cells = under(cells_of(calibration), metric)
    whole = full_length(cells)
    plan = plan_for(config, whole)
    machine = _machine(hardware, price, device, dtype)
    seen = task if max_texts is None else task.sample(max_texts, seed=seed)
    settings.setdefault("max_length", plan.asked.max_length)
    looked = look(seen, models, started, {"device": device, "dtype": dtype, "seed": seed, **settings})
    task_S = tasks_drawn(whole, DRAWS, np.random.default_rng([seed, 1]))  # a stream of its own
    work = Work(task, looked, machine, plan, Forecaster(whole, predictor), seed, metric, task_S)
    options = work.options()
    weigh(options, limit, machine)
    running = {"device": device, "cache": settings.get("cache", True)}
    pilots = []
    if pilot is not None:
        pilots = run_pilots(
            options, looked.models, work.said, seen, plan, cells, pilot, task_S, metric=metric, seed=seed, **running
        )
        weigh(options, limit, machine)
    chosen = pick(options, tolerance)
    decision = Decision(
        task=looked.assessments[0].task,
        options=[_shown(option) for option in options],
        recommended=None if chosen is None else _shown(chosen),
        sentences=[
            *describe(options, chosen, tolerance, limit, machine, metric=metric),
            *work.how_to_run(chosen),
        ],
        warnings=[*looked.failures, *plan.warnings(work.sizes()), *work.warnings()],
        settings={
            "metric": metric,
            "tolerance": tolerance,
            "budget": budget,
            "machine": asdict(machine),
            "predictor": predictor,
            "level": LEVEL,
            "seed": seed,
            "pilot": pilot,
            "max_texts": max_texts,
            "calibration": described(work.forecaster.cells),
            "config": plan.asked.asdict(),
            "plan": plan.asdict(work.sizes()),
        },
        explanation=work.explained,
        labels=work.label_curves(seen, max_length=plan.asked.max_length, **running) if labels else [],
        pilots=pilots,
        environment=describe_environment(),
        assessments=looked.assessments,
    )
    if out is not None:
        decision.save(out)
    return decision


def _machine(hardware: str, price: float | None, device: str, dtype: str) -> Machine:
    if hardware != HERE:
        return named_machine(hardware, price)
    place = resolve_device(device)
    rates = measure_rates(place, resolve_dtype(dtype, place))
    return Machine(HERE, rates.forward, measured=True, memory=float(free_on(place)), price=price)


def _shown(option: Option) -> OptionRow:
    names = ("model", "route", "source", "f1", "f1_low", "f1_high", "fits", "affordable", "shortfall", "chance_best")
    return cast("OptionRow", {name: getattr(option, name) for name in names} | asdict(option.cost))
