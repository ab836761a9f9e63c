"""From backbones to options: each is assessed, and each of its routes weighed by what it would bring and cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.assessment import Assessment, assess
from tokenworth.assessment.assessment_result import ProbeRow
from tokenworth.assessment.probe_table import bow_row
from tokenworth.assessment.short_names import names_apart
from tokenworth.decision.advice import DRAWS, Option
from tokenworth.decision.budget import Machine
from tokenworth.decision.decision_metric import of_probe
from tokenworth.decision.decision_result import Explanation, LabelCurve
from tokenworth.decision.forecaster import Forecaster
from tokenworth.decision.indicators import indicators_of
from tokenworth.decision.label_curves import beyond, part_sizes, predicted_curve, run_curve
from tokenworth.decision.predictors import predictor as predictor_named
from tokenworth.decision.route_costs import Cost, bow_cost, route_cost
from tokenworth.decision.run_plan import Plan, width_said
from tokenworth.encode.text_loss import loss_of
from tokenworth.errors import BackboneError, SettingError, TokenworthError
from tokenworth.tasks import Task

ONE_CLASS_ALONE = (
    "texts have several labels here, and the calibration is of runs on one class a text: what prompts, LoRA or "
    "training would bring cannot be predicted from it; the bag of words and the probes are measured (labels given from "
    "one cross-fitted threshold on), the other routes are run by tokenworth adapt"
)


@dataclass(frozen=True, slots=True)
class AssessedBackbones:
    """Assessments of the backbones that could be assessed."""

    assessments: list[Assessment]
    models: dict[str, str]
    """What was given, by the name of the backbone; in the order of the assessments."""
    failures: list[str]


def assess_backbones(
    task: Task,
    models: Sequence[str],
    started: Callable[[str], None] | None,
    settings: dict[str, Any],
    known: Mapping[str, Assessment] = MappingProxyType({}),
) -> AssessedBackbones:
    """Assess every backbone; one that fails is noted, and the others go on.

    Args:
        task: what to assess them for; the bag of words is fitted once.
        models: folders, hub ids or published names.
        started: called with the name of each before it is assessed.
        settings: of `assess`.
        known: earlier assessments by the name that was given, which are taken as they are.

    Raises:
        SettingError: none is named, none could be assessed, or an earlier assessment is of other texts.
    """
    if not models:
        raise SettingError("no backbone is named; give at least one folder, hub id or published name")
    asked = list(dict.fromkeys(models))
    assessments = {model: _of_task(known[model], model, task) for model in asked if model in known}
    baseline: dict[str, Any] = {} if len(assessments) == len(asked) else dict(bow_row(task))
    failures = list[str]()
    for model in asked:
        if model in assessments:
            continue
        if started:
            started(model)
        try:
            assessments[model] = assess(model, task, baseline=dict(baseline), **settings)
        except TokenworthError as error:
            failures.append(f"{model}: {error}")
    if not assessments:
        raise SettingError("no backbone could be assessed: " + "; ".join(failures))
    given = [model for model in asked if model in assessments]
    results = [assessments[model] for model in given]
    return AssessedBackbones(results, dict(zip(names_apart(results, given), given, strict=True)), failures)


def _of_task(assessment: Assessment, model: str, task: Task) -> Assessment:
    if assessment.task["fingerprint"] != task.fingerprint:
        raise SettingError(
            f"the assessment given for {model} is of other texts than {task.name} has here; give one of the same texts "
            "or none"
        )
    return assessment


@dataclass(slots=True)
class Work:
    """One decision while it is made."""

    task: Task
    assessed: AssessedBackbones
    machine: Machine
    plan: Plan
    forecaster: Forecaster
    seed: int
    metric: str
    task_S: np.ndarray
    """Tasks by whose errors the outcomes of all routes are drawn."""
    said: dict[str, dict[str, float]] = field(default_factory=dict)
    """Indicators by the name of a backbone."""
    explained: list[Explanation] = field(default_factory=list)

    def options(self) -> list[Option]:
        """bow, and every route of every backbone that something is known of."""
        rng = np.random.default_rng(self.seed)
        bow = next(probe for probe in self.assessed.assessments[0].probes if probe["kind"] == "bow")
        weighed = [_measured(None, "bow", bow, self.metric, bow_cost(self.task, self.machine), rng)]
        for name, assessment in zip(self.assessed.models, self.assessed.assessments, strict=True):
            self.said[name] = indicators_of(assessment, self._loss(name), metric=self.metric)
            try:
                best = assessment.best_probe()
                cost = self.cost(name, "probe", layer=best["layer"])
                probe = _measured(name, "probe", best, self.metric, cost, rng)
                known = () if self.task.several else self.forecaster.routes()
                weighed += [probe, *(self._predicted(name, route, rng) for route in ROUTES if route in known)]
            except BackboneError as error:
                self.assessed.failures.append(f"{name}: {error}; no route of it is weighed")
                del self.said[name]
        return weighed

    def widths(self) -> dict[str, int]:
        """Numbers of a state by the name of a backbone."""
        return {name: width_said(said) for name, said in self.said.items()}

    def how_to_run(self, chosen: Option | None) -> list[str]:
        """With which options, where a learned route is advised."""
        if chosen is None or chosen.model is None:
            return []
        return self.plan.how_to_run(chosen.route, self.widths()[chosen.model])

    def _loss(self, name: str) -> dict[str, float]:
        """Of the task's texts under the backbone, by a pass of its own, where the predictor asks for it."""
        if not {"nll", "bits_per_byte"} & set(predictor_named(self.forecaster.name).indicators):
            return {}
        texts, most = self.task.train.texts, self.plan.asked.max_length
        return loss_of(self.assessed.models[name], texts, max_length=most, seed=self.seed)

    def cost(self, name: str, route: str, layer: int | None = None) -> Cost:
        """Of a route of a backbone, as it is planned; of a probe that reads a layer, where it is given.

        Raises BackboneError: it cannot be counted.
        """
        config = self.plan.of(route, self.widths()[name])
        return route_cost(self.assessed.models[name], self.task, route, self.machine, config, layer=layer)

    def _predicted(self, name: str, route: str, rng: np.random.Generator) -> Option:
        guess = self.forecaster.predict(route, self.said[name], task_S=self.task_S, rng=rng)
        self.explained.append({"model": name, "route": route, **guess.explanation})
        return Option(name, route, "predicted", guess.f1, guess.low, guess.high, self.cost(name, route), guess.draws)

    def warnings(self) -> list[str]:
        """Where an assessment lies beyond the calibration."""
        if self.task.several:
            return [ONE_CLASS_ALONE]
        return [f"{name}: {what}" for name, said in self.said.items() for what in self.forecaster.outside(said)]

    def label_curves(self, task: Task, **running: Any) -> list[LabelCurve]:
        """F1 by number of training texts: bow once, every other route by backbone."""
        sizes = part_sizes(task)
        bow = run_curve(None, task, "bow", sizes, metric=self.metric, **running)
        curves = [_curve("bow", None, sizes, bow)]
        for name, model in self.assessed.models.items():
            if name not in self.said:
                continue
            probe = run_curve(model, task, "probe", sizes, metric=self.metric, **running)
            curves.append(_curve("probe", name, sizes, probe))
            for route in self.forecaster.routes():
                f1 = predicted_curve(self.forecaster, route, self.said[name], sizes, bow, probe)
                curves.append(_curve(route, name, sizes, f1))
        return curves


def _curve(route: str, model: str | None, sizes: list[int], f1: list[float]) -> LabelCurve:
    return {"route": route, "model": model, "texts": sizes, "f1": f1, "beyond": beyond(sizes, f1)}


def _measured(
    model: str | None, route: str, row: ProbeRow, metric: str, cost: Cost, rng: np.random.Generator
) -> Option:
    """A route that ran with the assessment; its 95 % interval is drawn in to 90 %."""
    value, low, high = (of_probe(row, metric, end) for end in ("", "_low", "_high"))
    spread = (high - low) / (2 * 1.96)
    draws = np.clip(rng.normal(value, spread, DRAWS), 0.0, 1.0)
    half = 1.645 * spread
    return Option(model, route, "measured", value, value - half, min(1.0, value + half), cost, draws)
