"""decide: one assessment a backbone, then what every route would bring and cost, and which to take."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

import numpy as np

from tokenworth.adaptation import AdaptConfig, make_config
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.assessment.assessment_settings import AssessKeywords
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.base.machine import free_on
from tokenworth.base.versions import describe_environment
from tokenworth.decision.advice import DRAWS, Option, pick, weigh
from tokenworth.decision.budget import HERE, Budget, Machine, named_machine, parse_budget
from tokenworth.decision.calibration import cells_of, described, full_length
from tokenworth.decision.conformal import tasks_drawn
from tokenworth.decision.decide_settings import DecideCall
from tokenworth.decision.decision_metric import metric_named, under
from tokenworth.decision.decision_result import Decision, OptionRow
from tokenworth.decision.decision_summary import describe
from tokenworth.decision.endpoint_options import endpoint_options
from tokenworth.decision.few_labels import few_label_sentences
from tokenworth.decision.forecaster import LEVEL, Forecaster
from tokenworth.decision.options import AssessedBackbones, Work, assess_backbones
from tokenworth.decision.pilot import Pilots, check_share, narrowing_of
from tokenworth.decision.run_plan import Plan, plan_for
from tokenworth.endpoints.endpoint_settings import DEFAULTS, is_endpoint
from tokenworth.errors import SettingError
from tokenworth.settings.declarations import values_of
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task

_OF_DECISION = ("out", "max_texts", "baseline")
"""Settings that mean something else to an assessment."""


@keywords_of(DecideCall)
def decide(call: DecideCall) -> Decision:
    """Which route is worth its cost: bag of words, prompt, probe, LoRA, full training or training from scratch?

    Each backbone is assessed by one forward pass, which already gives the routes bow and probe.  What the learned
    routes would bring is predicted from finished cells of studies; what they would cost is counted.

    Raises:
        TaskError, BackboneError, SettingError: what is given cannot be used.
    """
    seed, tolerance, pilot, asked = call.seed, call.tolerance, call.pilot, _asked(call)
    task = _task_of(call)
    limit = _limit(call, asked)
    check_share(pilot)
    metric = metric_named(call.metric)
    cells = under(cells_of(call.calibration), metric)
    whole = full_length(cells)
    plan = plan_for(replace(asked, **DEFAULTS), whole, task, seed)  # what runs here has no address
    machine = _machine(call)
    seen = task if call.max_texts is None else task.sample(call.max_texts, seed=seed)
    looked = _assessed(call, seen, plan)
    task_S = tasks_drawn(whole, DRAWS, np.random.default_rng([seed, 1]))  # a stream of its own
    work = Work(task, looked, machine, plan, Forecaster(whole, call.predictor), seed, metric, task_S)
    options = [*work.options(), *_served(call, asked, seen, limit, looked.failures)]
    weigh(options, limit, machine)
    running = {"device": call.device, "cache": call.cache}
    pilots = []
    if pilot is not None:
        runs = Pilots(looked.models, work.said, seen, plan, cells, task_S, metric, seed, running)
        pilots = runs.run(options, pilot)
        weigh(options, limit, machine)
    chosen, worth = pick(options, tolerance), partial(narrowing_of, cells)
    said = describe(options, chosen, tolerance, limit, machine, metric=metric, pilot_worth=worth)
    decision = Decision(
        task=looked.assessments[0].task,
        options=[_shown(option) for option in options],
        recommended=None if chosen is None else _shown(chosen),
        sentences=said + _further(work, asked, chosen),
        warnings=[*looked.failures, *plan.warnings(work.widths()), *work.warnings()],
        settings=_settings(call, work),
        explanation=work.explained,
        labels=work.label_curves(seen, max_length=plan.asked.max_length, **running) if call.labels else [],
        pilots=pilots,
        environment=describe_environment(),
        assessments=looked.assessments,
    )
    if call.out is not None:
        decision.save(call.out)
    return decision


def _task_of(call: DecideCall) -> Task:
    """The task; of several labels a text nothing can be asked for that the calibration or a pilot would have to say."""
    task = call.task if isinstance(call.task, Task) else load_task(call.task, seed=call.seed)
    if task.several and (call.pilot is not None or call.labels or any(map(is_endpoint, call.models))):
        raise SettingError(
            f"in {task.name} texts have several labels, of which decide measures a bag of words and probes alone; "
            "leave out pilot, labels and models on servers, and run other routes with tokenworth adapt"
        )
    return task


def _assessment_settings(call: DecideCall, plan: Plan) -> dict[str, Any]:
    """What every backbone is assessed with; texts are cut where the plan's runs cut them."""
    settings = {name: value for name, value in values_of(AssessKeywords, call).items() if name not in _OF_DECISION}
    return settings if call.max_length is not None else settings | {"max_length": plan.asked.max_length}


def _asked(call: DecideCall) -> AdaptConfig:
    """Settings of the learned routes.

    Raises SettingError: a tuning, or a way to read long texts, of which there are no runs to learn from.
    """
    asked = make_config(call.config)
    if asked.tuning != "lora":
        raise SettingError(
            f"what decide predicts of the route lora rests on finished runs of LoRA, none of tuning {asked.tuning}; "
            "leave it out, and run tokenworth adapt with it beside the advice"
        )
    long = asked.long if call.long == "first" else call.long
    if long != "first":
        raise SettingError(
            f"what decide predicts rests on finished runs that read the beginning of long texts, none with long "
            f"{long}; leave it out, and run tokenworth adapt with it beside the advice"
        )
    return asked


def _limit(call: DecideCall, asked: AdaptConfig) -> Budget | None:
    """The budget; one in money needs a price, of the machine or of an endpoint."""
    price = call.price if call.price is not None else asked.price_in
    return None if call.budget is None else parse_budget(call.budget, price)


def _assessed(call: DecideCall, task: Task, plan: Plan) -> AssessedBackbones:
    """The models that can be loaded."""
    loaded = [model for model in call.models if not is_endpoint(model)]
    return assess_backbones(task, loaded, call.started, _assessment_settings(call, plan), call.assessments or {})


def _served(
    call: DecideCall, asked: AdaptConfig, task: Task, limit: Budget | None, failures: list[str]
) -> list[Option]:
    """The models on servers; a budget in money is the most that asking about the sample may cost, too."""
    models = [model for model in dict.fromkeys(call.models) if is_endpoint(model)]
    if limit is not None and limit.kind == "money":
        asked = replace(asked, budget=min(limit.limit, asked.budget or limit.limit))
    metric, running = metric_named(call.metric), {"cache": call.cache, "progress": call.progress}
    options, failed = endpoint_options(
        models, task, call.endpoint_texts, asked, metric=metric, seed=call.seed, **running
    )
    failures += failed
    return options


def _further(work: Work, asked: AdaptConfig, chosen: Option | None) -> list[str]:
    """How the advice is followed, and what it cannot say."""
    return [*_how_to_run(work, asked, chosen), *few_label_sentences(work)]


def _how_to_run(work: Work, asked: AdaptConfig, chosen: Option | None) -> list[str]:
    if chosen is None or not is_endpoint(chosen.model):
        return work.how_to_run(chosen)
    return [f"It is run by tokenworth adapt with --route prompt --model {chosen.model} --url {asked.url}."]


def _settings(call: DecideCall, work: Work) -> dict[str, Any]:
    """What is saved beside the decision."""
    return {
        "metric": work.metric,
        "tolerance": call.tolerance,
        "budget": call.budget,
        "machine": asdict(work.machine),
        "predictor": call.predictor,
        "level": LEVEL,
        "seed": call.seed,
        "pilot": call.pilot,
        "max_texts": call.max_texts,
        "calibration": described(work.forecaster.cells),
        "config": work.plan.asked.asdict(),
        "plan": work.plan.asdict(work.widths()),
    }


def _machine(call: DecideCall) -> Machine:
    if call.hardware != HERE:
        return named_machine(call.hardware, call.price)
    place = resolve_device(call.device)
    rates = measure_rates(place, resolve_dtype(call.dtype, place))
    return Machine(HERE, rates.forward, measured=True, memory=float(free_on(place)), price=call.price)


def _shown(option: Option) -> OptionRow:
    names = ("model", "route", "source", "f1", "f1_low", "f1_high", "fits", "affordable")
    weighed = ("f1_kept", "shortfall", "chance_best")
    return cast("OptionRow", {name: getattr(option, name) for name in names + weighed} | asdict(option.cost))
