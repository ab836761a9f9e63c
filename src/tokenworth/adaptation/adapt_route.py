"""adapt: one route on one task, under one protocol.

task -> parts -> route (tuned, if asked) -> test split once -> classifier, predictions, result
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenworth.adaptation.evaluation.diagnosis as diagnosis
import tokenworth.adaptation.evaluation.harmful_texts as harmful
import tokenworth.adaptation.evaluation.intruder_reduction as intruders
import tokenworth.adaptation.evaluation.mislabelled as mislabelled
import tokenworth.adaptation.routes.bag_of_words_route as bow
import tokenworth.adaptation.routes.contrastive_route as contrastive
import tokenworth.adaptation.routes.endpoint_route as served
import tokenworth.adaptation.routes.label_prompt_route as labelled
import tokenworth.adaptation.routes.probe_route as probe
import tokenworth.adaptation.routes.prompt_route as prompt
import tokenworth.adaptation.routes.trained_routes as finetune
import tokenworth.adaptation.storage.run_folder as record
import tokenworth.adaptation.training.hyperparameter_search as tuning
from tokenworth.adaptation.adapt_call import AdaptCall
from tokenworth.adaptation.evaluation.evaluation import Evaluation, evaluate_route
from tokenworth.adaptation.evaluation.label_set_evaluation import evaluate_label_sets
from tokenworth.adaptation.export.card_usage import write_saved_card
from tokenworth.adaptation.forecast.cost_meter import Meter
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.route_settings import make_config
from tokenworth.adaptation.route_summary import summarise
from tokenworth.adaptation.run_settings import settings_for
from tokenworth.adaptation.storage.adapt_result import AdaptResult, AdaptTask, Diagnosis, InfluenceOnTest, Mislabelled
from tokenworth.adaptation.storage.saved_classifier import MODEL, Classifier
from tokenworth.adaptation.training.long_text_choice import choose_long
from tokenworth.adaptation.training.rate_restart import RESTART
from tokenworth.adaptation.training.validation_split import divide
from tokenworth.assessment.fact_cards import backbone_card
from tokenworth.backbones import Backbone
from tokenworth.base.locks import claimed
from tokenworth.base.versions import describe_environment
from tokenworth.endpoints.endpoint_settings import is_endpoint, refuse_misplaced
from tokenworth.errors import SettingError
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task
from tokenworth.training.devices import find_devices


def _fit_prompt(job: Job) -> Fitted:
    """A model on a server, or one that is loaded; asked about each of several labels."""
    if job.task.several:
        return labelled.fit_label_prompt(job)
    return served.fit_endpoint(job) if is_endpoint(job.model) else prompt.fit_prompt(job)


FITS: dict[str, Callable[[Job], Fitted]] = {
    "bow": bow.fit_bow,
    "prompt": _fit_prompt,
    "probe": probe.fit_probe,
    "lora": finetune.fit_lora,
    "full": finetune.fit_full,
    "contrastive": contrastive.fit_contrastive,
    "scratch": finetune.fit_scratch,
}
assert FITS.keys() == ROUTES.keys(), "every route has its fit"


@keywords_of(AdaptCall)
def adapt(call: AdaptCall) -> AdaptResult:
    """Run a route: bow, prompt, probe, lora, full, contrastive or scratch.

    The same seed gives the same order of texts, head and dropout, whatever the route; the test split is read once, at
    the end.  With `out` a run that was interrupted goes on when the same call is made again, and one that is finished
    is read and not run.  Started by torchrun or accelerate, the processes share every batch.

    Raises:
        SettingError: a setting that is not understood, or another run in `out`.
        TaskError, BackboneError, EncodeError, AdaptError: see their docstrings; one sentence each.
    """
    wished, route, model, seed = make_config(call.config), call.route, call.model, call.seed
    if route not in ROUTES:
        raise SettingError(f"route {route!r} is not understood; choose one of {', '.join(ROUTES)}")
    refuse_misplaced(model, wished)
    if is_endpoint(model) and route != "prompt":
        raise SettingError(
            f"the route {route} needs a model's weights, and {model} is on a server; choose the route prompt"
        )
    meter, devices = Meter(), find_devices(shard=wished.shard)
    main = devices.processes.is_main
    loading = {name: getattr(call, name) for name in ("device", "revision", "allow_pickle", "tokenizer")}
    folder = None if call.out is None else Path(call.out)
    with claimed(folder) if folder is not None and main else nullcontext():
        with meter.clock("load"):
            task = call.task if isinstance(call.task, Task) else load_task(call.task, seed=seed)
            config, by_rule = settings_for(wished, route, model, task, seed, loading)
        finished, dtype = None, ""
        with devices.processes.together():
            if main:
                dtype = record.number_format(folder, route, model, config.dtype, call.device)
            if folder is not None and main:
                name = model.name + model.fingerprint if isinstance(model, Backbone) else model
                settings = {**config.asdict(), "dtype": dtype}
                facts = record.started_with(route, name, task.fingerprint, seed, settings, loading)
                finished = record.begin(folder, facts)
        done = devices.processes.tell("" if finished is None else finished.to_json())
        if done:
            return finished or AdaptResult.from_json(done)
        dtype = devices.processes.tell(dtype)
        train_rows, validation_rows = divide(task, config, seed)
        job = Job(
            route, model, task, train_rows, validation_rows, config, dtype, seed, loading, devices, folder,
            call.cache, call.progress, by_rule,
        )  # fmt: skip
        return _run(job, meter)


def _run(job: Job, meter: Meter) -> AdaptResult:
    trials: list[dict[str, Any]] = []
    if job.config.long == "choose":
        with meter.clock("choose"):
            chosen, choice = choose_long(job, FITS[job.route])
        job = replace(_after_tuning(job, chosen), long_choice=choice)
    if job.config.tune:
        with meter.clock("tune"):
            chosen, trials = tuning.tune(job, FITS[job.route])
        job = replace(_after_tuning(job, chosen), by_rule={})
    with meter.clock("fit"):
        fitted = FITS[job.route](job)
    processes = job.devices.processes
    result = None
    with processes.together():
        if processes.is_main:
            result = _finish(job, fitted, meter, trials)
    text = processes.tell("" if result is None else result.to_json())
    return result or AdaptResult.from_json(text)


def _after_tuning(job: Job, chosen: ResolvedConfig) -> Job:
    """The final run learns from the validation part too, unless that is still needed."""
    if chosen.needs_validation:
        return replace(job, config=chosen)
    rows, none = divide(job.task, chosen, job.seed)
    return replace(job, config=chosen, train_rows=rows, validation_rows=none)


def _finish(job: Job, fitted: Fitted, meter: Meter, trials: list[dict[str, Any]]) -> AdaptResult:
    """Evaluate, look closer where asked, save."""
    if job.route == "lora" and job.config.reduce_intruders:
        with meter.clock("reduce"):
            fitted = intruders.reduce_intruders(job, fitted)
    with meter.clock("evaluate"):
        evaluation = (evaluate_label_sets if job.task.several else evaluate_route)(job, fitted)
    fitted = fitted.closed()
    suspicious, influence = list[Mislabelled](), InfluenceOnTest()
    if job.config.mislabelled and not job.task.several:
        with meter.clock("mislabelled"):
            suspicious = mislabelled.likely_mislabelled(job.train, job.task.label_names, job.seed)
            influence = harmful.influence_on_test(job, fitted)
    looked: Diagnosis = {}
    if job.config.diagnose:
        with meter.clock("diagnose"):
            looked = diagnosis.diagnose(job, fitted)
    reading = evaluation.temperature, evaluation.thresholds
    classifier = Classifier(fitted.predictor, job.task.label_names, *reading)
    if job.folder is not None:
        with meter.clock("save"):
            classifier.save(job.folder / MODEL, {"route": job.route, "task": job.task.name})
    result = _result(job, fitted, evaluation, meter, trials)
    result = replace(result, mislabelled=suspicious, influence=influence, diagnosis=looked)
    if job.folder is not None:
        write_saved_card(job.folder / MODEL, fitted.predictor.kind, result)
        result.save(job.folder)
        for name in ("checkpoints", "tuning", RESTART):  # the run is whole without them
            shutil.rmtree(job.folder / name, ignore_errors=True)
    return result


def _result(
    job: Job, fitted: Fitted, evaluation: Evaluation, meter: Meter, trials: list[dict[str, Any]]
) -> AdaptResult:
    cost = {
        **meter.read(),
        **fitted.cost,
        "flops_per_prediction": fitted.flops_per_text,
        "tuning_flops": sum(trial["train_flops"] for trial in trials) + job.long_choice.get("train_flops", 0),
        "processes": job.devices.processes.size,
    }
    return AdaptResult(
        route=job.route,
        task=_task_facts(job),
        backbone=fitted.card if fitted.backbone is None else backbone_card(fitted.backbone),
        seed=job.seed,
        settings=job.config.asdict(),
        metrics=evaluation.metrics,
        train_metrics=evaluation.train_metrics,
        validation=evaluation.validation,
        temperature=evaluation.temperature,
        parameters=fitted.parameters,
        training=fitted.training,
        facts={**fitted.facts, "majority": evaluation.majority, **_chosen_facts(job, fitted)},
        cost=cost,
        resumed_from_step=fitted.resumed_from_step,
        confusion=evaluation.confusion,
        calibration=evaluation.calibration,
        mislabelled=[],
        tuning=trials,
        notes=list(fitted.notes),
        sentences=summarise(job, fitted, evaluation, cost),
        environment=describe_environment(),
        predictions=evaluation.predictions,
    )


def _chosen_facts(job: Job, fitted: Fitted) -> dict[str, Any]:
    """What the rule chose, and what was read of long texts where that is not their beginning as ever."""
    facts: dict[str, Any] = {"by_rule": job.by_rule} if job.by_rule else {}
    if job.config.long != "first" or job.long_choice:
        facts["long_texts"] = {"read": job.config.long, **fitted.read._asdict()}
    return facts | ({"long_choice": job.long_choice} if job.long_choice else {})


def _task_facts(job: Job) -> AdaptTask:
    task = job.task
    return {
        "name": task.name,
        "source": task.source,
        "fingerprint": task.fingerprint,
        "label_names": list(task.label_names),
        "texts": {"train": len(job.train_rows), "validation": len(job.validation_rows), "test": len(task.test)},
        "notes": list(task.notes),
    }
