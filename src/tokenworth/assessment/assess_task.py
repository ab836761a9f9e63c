"""assess: one backbone on one task, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from tokenworth.assessment.assessment_result import Assessment
from tokenworth.assessment.assessment_settings import AssessCall, AssessSettings, PassLimits, parse_layers
from tokenworth.assessment.assessment_summary import summarise
from tokenworth.assessment.fact_cards import backbone_card, task_card
from tokenworth.assessment.flags import few_tokens, find_flags, massive_activations
from tokenworth.assessment.layer_scores import (
    prepare_labels,
    probe_moments,
)
from tokenworth.assessment.probe_search import candidate_readings, nested_accuracy
from tokenworth.assessment.probe_table import probe_table
from tokenworth.assessment.scored_layers import choice_facts, layer_texts, score_layers
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.backbones.model_choice import ModelChoice
from tokenworth.base.locks import claimed
from tokenworth.base.processes import Processes, join_processes
from tokenworth.base.progress import StageClock
from tokenworth.base.versions import describe_environment
from tokenworth.encode import Tokens, tokenise
from tokenworth.errors import TaskError
from tokenworth.features import Features, PassSettings, gather_features, open_store
from tokenworth.features.weight_sharding import shard as spread
from tokenworth.probes import grouped_folds
from tokenworth.scores.layer import pooled_spectrum
from tokenworth.settings.declarations import part_of, values_of
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task


@keywords_of(AssessCall)
def assess(call: AssessCall) -> Assessment:
    """Assess a backbone on a task: one forward pass, then every score of every layer in closed form.

    The pass is kept in the cache: the same texts and model, however labelled, split or scored, need no other; and an
    interrupted pass goes on when the same call is made again.  Started by torchrun or accelerate, the processes share
    the pass, the main one scores, and all return the same result.

    Raises:
        TaskError, BackboneError, EncodeError, SettingError: see their docstrings; one sentence each.
    """
    clock, processes = StageClock(), join_processes()
    with claimed(call.out) if call.out is not None and processes.is_main else nullcontext():
        with clock("load"):
            task = call.task if isinstance(call.task, Task) else load_task(call.task, seed=call.seed)
            task = task.sample(call.max_texts, seed=call.seed) if call.max_texts is not None else task
            backbone = call.model
            if not isinstance(backbone, Backbone):
                backbone = load_backbone(backbone, seed=call.seed, **values_of(ModelChoice, call))
            backbone = spread(backbone) if call.shard else backbone
        result = _assess(backbone, task, call, processes, clock)
        if call.out is not None and processes.is_main:
            result.save(call.out)
    return result


def _assess(backbone: Backbone, task: Task, call: AssessCall, processes: Processes, clock: StageClock) -> Assessment:
    settings = part_of(AssessSettings, call, layers=parse_layers(call.layers, backbone.n_layers))
    folds_N = _folds(task, settings)
    with clock("tokenise"):
        tokens = {
            part: tokenise(backbone, split.texts, max_length=settings.max_length, long=settings.long)
            for part, split in (("train", task.train), ("test", task.test))
        }
    with open_store(call.cache, processes) as store:
        with clock("encode"):
            features = gather_features(
                backbone,
                tokens,
                _pass_settings(settings, backbone, call),
                store,
                processes=processes,
                progress=call.progress,
            )
        result = _on_main(
            processes, lambda: _score(backbone, task, tokens, features, folds_N, settings, clock, call.baseline)
        )
        if processes.is_main:
            store.trim()  # also a pass that alone is larger than the store, now that it is no longer read
        return result


def _pass_settings(settings: AssessSettings, backbone: Backbone, limits: PassLimits) -> PassSettings:
    return PassSettings(
        layers=settings.layers,
        readings=candidate_readings(settings.pooling, settings.states, causal=backbone.causal),
        prefix=settings.prefix,
        batch_tokens=settings.batch_tokens,
        memory=None if limits.memory_gb is None else int(limits.memory_gb * 1e9),
        checkpoint_seconds=limits.checkpoint_seconds,
    )


def _on_main(processes: Processes, work: Callable[[], Assessment]) -> Assessment:
    """The main process works, the others wait for its result, or its failure."""
    result = None
    with processes.together():
        if processes.is_main:
            result = work()
    text = processes.tell("" if result is None else result.to_json())
    return result or Assessment.from_json(text)


def _score(
    backbone: Backbone,
    task: Task,
    tokens: dict[str, Tokens],
    features: Features,
    folds_N: np.ndarray,
    settings: AssessSettings,
    clock: StageClock,
    baseline: dict[str, Any] | None,
) -> Assessment:
    labels = prepare_labels(task, folds_N, settings)
    scored = score_layers(features, labels, settings, clock)
    choice, best = scored.choice, scored.choice.best
    nested = nested_accuracy(scored.probes, choice.nested_N, task.train.labels)
    with clock("probes"):
        probes = probe_table(features, task, choice, scored.rows, scored.probes[best], settings, baseline)
    with clock("scores"):
        pooled = pooled_spectrum(probe_moments(layer_texts(features, best.layer)[1], labels).total)
    task_facts, backbone_facts = task_card(task, tokens), backbone_card(backbone)
    flags = find_flags(task, backbone, {layer: scored.scores[layer].reasons for layer in settings.layers})
    rows = [scored.rows[layer] for layer in settings.layers]
    flags += massive_activations(features.entry.largest_states(), settings.states)
    flags += few_tokens(features.facts["tokens"] // features.facts["passes"], backbone, rows)
    return Assessment(
        task=task_facts,
        backbone=backbone_facts,
        settings=_named(settings),
        layers=rows,
        **choice_facts(scored, task, nested),
        curves=_lists(scored.scores[best.layer].curves),
        spectrum=_lists({**scored.scores[best.layer].spectra, "pooled": pooled}),
        probes=probes.rows,
        confusion=probes.confusion,
        predictions=probes.predictions,
        flags=flags,
        sentences=summarise(task_facts, backbone_facts, choice, scored.rows, probes, nested),
        timings={**clock.seconds(), **_inside_encode(features.facts)},
        forward_pass=features.facts,
        environment=describe_environment(),
    )


def _named(settings: AssessSettings) -> dict[str, Any]:
    """As they are kept: of long texts no word where their beginning is read, as ever."""
    kept = {**asdict(settings), "layers": list(settings.layers)}
    return {name: value for name, value in kept.items() if (name, value) != ("long", "first")}


def _inside_encode(facts: dict[str, Any]) -> dict[str, float]:
    """Where the seconds of the pass went, over all its sessions; none where it was made earlier."""
    parts = () if facts["reused"] else ("forward", "pooling", "moments", "checkpoint")
    return {f"encode: {part}": facts[f"{part}_seconds"] for part in parts}


def _folds(task: Task, settings: AssessSettings) -> np.ndarray:
    folds_N = grouped_folds(task.train.labels, settings.folds, groups_N=task.train.units(), seed=settings.seed)
    if not folds_N.any():
        raise TaskError(
            f"{task.name}: all {len(task.train):,} training texts are of one group, so none can be held out to choose "
            "a layer by; group them by another column (--group), or by none"
        )
    return folds_N


def _lists(tensors: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    """Curves as lists of six significant digits, with the axis they share."""
    lists = {name: [float(f"{value:.6g}") for value in tensor.tolist()] for name, tensor in tensors.items()}
    longest = max((len(values) for values in lists.values()), default=0)
    return {"k": [float(k) for k in range(1, longest + 1)], **lists}
