"""decide: one assessment a backbone, then what every route would bring and cost, and which to take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.adaptation.settings import ROUTES, AdaptConfig
from tokenworth.assessment import Assessment
from tokenworth.assessment.environment import describe_environment
from tokenworth.assessment.forecast import measure_rates
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.decision.calibration import cells_of, described, full_length
from tokenworth.decision.choose import DRAWS, Option, pick, weigh
from tokenworth.decision.conformal import tasks_drawn
from tokenworth.decision.costs import Cost, bow_cost, route_cost
from tokenworth.decision.indicators import indicators_of
from tokenworth.decision.labels import beyond, part_sizes, predicted_curve, run_curve
from tokenworth.decision.looking import Looked, look
from tokenworth.decision.metrics import DEFAULT_METRIC, metric_named, of_probe, under
from tokenworth.decision.pilot import check_share, run_pilots
from tokenworth.decision.plan import Plan, plan_for
from tokenworth.decision.predicting import LEVEL, Forecaster
from tokenworth.decision.predictors import DEFAULT
from tokenworth.decision.predictors import predictor as predictor_named
from tokenworth.decision.prices import HERE, Machine, named_machine, parse_budget
from tokenworth.decision.result import Decision
from tokenworth.decision.sentences import describe
from tokenworth.encode.textloss import loss_of
from tokenworth.errors import BackboneError, SettingError
from tokenworth.machine import free_on
from tokenworth.tasks import Task, load_task

TOLERANCE = 0.01


def decide(
    task: str | Task,
    models: Sequence[str],
    *,
    metric: str = DEFAULT_METRIC,
    budget: str | None = None,
    tolerance: float = TOLERANCE,
    hardware: str = HERE,
    price: float | None = None,
    calibration: Sequence[str | Path] = (),
    config: AdaptConfig | dict[str, Any] | str | Path | None = None,
    predictor: str = DEFAULT,
    pilot: float | None = None,
    labels: bool = False,
    max_texts: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    out: str | Path | None = None,
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
    task = task if isinstance(task, Task) else load_task(task, seed=seed)
    limit = None if budget is None else parse_budget(budget, price)
    if not 0 <= tolerance < 1:
        raise SettingError(f"tolerance {tolerance} is not understood; give the F1 that may be lost, such as 0.01")
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
    work = _Work(task, looked, machine, plan, Forecaster(whole, predictor), seed, metric, task_S)
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


@dataclass(slots=True)
class _Work:
    """From assessments to options."""

    task: Task
    looked: Looked
    machine: Machine
    plan: Plan
    forecaster: Forecaster
    seed: int
    metric: str
    task_S: np.ndarray
    """Tasks by whose errors the outcomes of all routes are drawn."""
    said: dict[str, dict[str, float]] = field(default_factory=dict)
    """Indicators by the name of a backbone."""
    explained: list[dict[str, Any]] = field(default_factory=list)

    def options(self) -> list[Option]:
        """bow, and every route of every backbone that something is known of."""
        rng = np.random.default_rng(self.seed)
        bow = next(probe for probe in self.looked.assessments[0].probes if probe["kind"] == "bow")
        found = [_measured(None, "bow", bow, self.metric, bow_cost(self.task, self.machine), rng)]
        for name, one in zip(self.looked.models, self.looked.assessments, strict=True):
            self.said[name] = indicators_of(one, self._loss(name), metric=self.metric)
            try:
                found += self._options_of(name, one, rng)
            except BackboneError as error:
                self.looked.failures.append(f"{name}: {error}; no route of it is weighed")
                del self.said[name]
        return found

    def _options_of(self, name: str, one: Assessment, rng: np.random.Generator) -> list[Option]:
        """The probe, and every route that can be predicted."""
        best = next(probe for probe in one.probes if probe["name"] == one.confusion["probe"])
        probe = _measured(name, "probe", best, self.metric, self._cost(name, "probe"), rng)
        known = self.forecaster.routes()
        return [probe, *(self._predicted(name, route, rng) for route in ROUTES if route in known)]

    def sizes(self) -> dict[str, float]:
        """Natural logarithm of the parameters by the name of a backbone."""
        return {name: said["log_parameters"] for name, said in self.said.items()}

    def how_to_run(self, chosen: Option | None) -> list[str]:
        """With which options, where a learned route is advised."""
        if chosen is None or chosen.model is None:
            return []
        return self.plan.how_to_run(chosen.route, self.sizes()[chosen.model])

    def _loss(self, name: str) -> dict[str, float]:
        """Of the task's texts under the backbone, by a pass of its own, where the predictor asks for it."""
        if not {"nll", "bits_per_byte"} & set(predictor_named(self.forecaster.name).indicators):
            return {}
        texts, most = self.task.train.texts, self.plan.asked.max_length
        return loss_of(self.looked.models[name], texts, max_length=most, seed=self.seed)

    def _cost(self, name: str, route: str) -> Cost:
        own = self.plan.of(route, self.sizes()[name])
        return route_cost(self.looked.models[name], self.task, route, self.machine, own)

    def _predicted(self, name: str, route: str, rng: np.random.Generator) -> Option:
        guess = self.forecaster.predict(route, self.said[name], task_S=self.task_S, rng=rng)
        self.explained.append({"model": name, "route": route, **guess.explanation})
        return Option(name, route, "predicted", guess.f1, guess.low, guess.high, self._cost(name, route), guess.draws)

    def warnings(self) -> list[str]:
        """Where an assessment lies beyond the calibration."""
        return [f"{name}: {what}" for name, said in self.said.items() for what in self.forecaster.outside(said)]

    def label_curves(self, task: Task, **running: Any) -> list[dict[str, Any]]:
        """F1 by number of training texts: bow once, every other route by backbone."""
        sizes = part_sizes(task)
        bow = run_curve(None, task, "bow", sizes, metric=self.metric, **running)
        found = [_curve("bow", None, sizes, bow)]
        for name, model in self.looked.models.items():
            if name not in self.said:
                continue
            probe = run_curve(model, task, "probe", sizes, metric=self.metric, **running)
            found.append(_curve("probe", name, sizes, probe))
            for route in self.forecaster.routes():
                f1 = predicted_curve(self.forecaster, route, self.said[name], sizes, bow, probe)
                found.append(_curve(route, name, sizes, f1))
        return found


def _curve(route: str, model: str | None, sizes: list[int], f1: list[float]) -> dict[str, Any]:
    return {"route": route, "model": model, "texts": sizes, "f1": f1, "beyond": beyond(sizes, f1)}


def _measured(
    model: str | None, route: str, row: dict[str, Any], metric: str, cost: Cost, rng: np.random.Generator
) -> Option:
    """A route that ran with the assessment; its 95 % interval is drawn in to 90 %."""
    value, low, high = (of_probe(row, metric, end) for end in ("", "_low", "_high"))
    spread = (high - low) / (2 * 1.96)
    draws = np.clip(rng.normal(value, spread, DRAWS), 0.0, 1.0)
    half = 1.645 * spread
    return Option(model, route, "measured", value, value - half, min(1.0, value + half), cost, draws)


def _shown(option: Option) -> dict[str, Any]:
    names = ("model", "route", "source", "f1", "f1_low", "f1_high", "fits", "affordable", "shortfall", "chance_best")
    return {name: getattr(option, name) for name in names} | asdict(option.cost)
