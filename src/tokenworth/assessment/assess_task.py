"""assess: one backbone on one task, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokenworth.assessment.assessment_result import Assessment
from tokenworth.assessment.assessment_settings import AssessSettings, parse_layers
from tokenworth.assessment.assessment_summary import summarise
from tokenworth.assessment.fact_cards import backbone_card, task_card
from tokenworth.assessment.flags import find_flags
from tokenworth.assessment.layer_choice import choose_layer
from tokenworth.assessment.layer_scores import Labels, layer_moments, prepare_labels, probe_layer, score_row
from tokenworth.assessment.probe_table import probe_table
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.base.aliases import Progress
from tokenworth.base.locks import claimed
from tokenworth.base.processes import Processes, join_processes
from tokenworth.base.progress import StageClock
from tokenworth.base.versions import describe_environment
from tokenworth.encode import Tokens, tokenise
from tokenworth.errors import TaskError
from tokenworth.features import Features, PassSettings, Store, default_store, gather_features, temporary_store
from tokenworth.features.weight_sharding import shard as spread
from tokenworth.probes import RidgeProbe, grouped_folds
from tokenworth.scores.context import Prefix
from tokenworth.scores.layer import LayerScores, pooled_spectrum, score_layer
from tokenworth.settings import NonNegative, OutFolder, Seed, checked_arguments
from tokenworth.tasks import Task, load_task


@checked_arguments
def assess(
    model: str | Backbone,
    task: str | Task,
    *,
    layers: str | int | list[int] | tuple[int, ...] | range = "all",
    pooling: str = "mean",
    prefix: Prefix = "sum",
    max_texts: int | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    allow_pickle: bool = False,
    tokenizer: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    conventions: bool = False,
    seed: Seed = 0,
    out: OutFolder = None,
    cache: str | Path | bool = True,
    memory_gb: NonNegative | None = None,
    checkpoint_seconds: NonNegative = 30.0,
    shard: bool = False,
    baseline: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Assessment:
    """Assess a backbone on a task: one forward pass, then every score of every layer in closed form.

    The pass is kept in the cache: the same texts and model, however labelled, split or scored, need no other; and an
    interrupted pass goes on when the same call is made again.  Started by torchrun or accelerate, the processes share
    the pass, the main one scores, and all return the same result.

    Args:
        model: folder, hub id or published name, with `@random` for random weights; or a loaded Backbone.
        task: anything `load_task` takes, or a Task.
        layers: "all", "last", "0,3,6", "0-6", or numbers; 0 is the embedding output, L the last block's.
        pooling: "mean", "last", "cls" or "last+mean" (then the scores that compare subspaces do not exist).
        prefix: encoded prefix of the context moments, "sum" as published or "mean".
        max_texts: sample so many texts of each part, by class; None takes all.
        max_length: tokens kept of a text; None keeps what the backbone can read.
        batch_tokens: padded tokens of a batch; None takes the device's default.
        device: "auto", "cpu", "cuda", "mps".
        dtype: "auto", "float32", "bfloat16", "float16", "float64".
        revision: of a hub id.
        allow_pickle: also load weights that are not safetensors.
        tokenizer: folder or hub id of another tokenizer than the model's own; "bytes" for one of 256 bytes.
        device_map: "auto" spreads the model over all devices, main memory and disk; see `load_backbone`.
        conventions: also compute NTPS in its weighted and published-code conventions.
        seed: of samples, shuffles, folds and random weights.
        out: folder for assessment.json and layers.parquet.
        cache: True for the default folder (TOKENWORTH_CACHE), False for none, or a folder.
        memory_gb: memory that the context moments may take; what does not fit takes further passes.
        checkpoint_seconds: time between checkpoints of the pass.
        shard: spread one model's weights over the processes instead of a replica each.
        baseline: the bag-of-words row of an earlier assessment of the same task, to save fitting it again.
        progress: called as progress(part, done_tokens, total_tokens).

    Raises:
        TaskError, BackboneError, EncodeError, SettingError: see their docstrings; one sentence each.
    """
    clock, processes = StageClock(), join_processes()
    with claimed(out) if out is not None and processes.is_main else nullcontext():
        with clock("load"):
            task = task if isinstance(task, Task) else load_task(task, seed=seed)
            task = task.sample(max_texts, seed=seed) if max_texts is not None else task
            backbone = (
                model
                if isinstance(model, Backbone)
                else load_backbone(
                    model,
                    device=device,
                    dtype=dtype,
                    seed=seed,
                    revision=revision,
                    allow_pickle=allow_pickle,
                    tokenizer=tokenizer,
                    device_map=device_map,
                )
            )
            backbone = spread(backbone) if shard else backbone
        settings = AssessSettings(
            layers=parse_layers(layers, backbone.n_layers),
            pooling=pooling,
            prefix=prefix,
            max_length=max_length,
            batch_tokens=batch_tokens,
            conventions=conventions,
            seed=seed,
        )
        limits = _Limits(cache, memory_gb, checkpoint_seconds, processes)
        result = _assess(backbone, task, settings, limits, clock, baseline, progress)
        if out is not None and processes.is_main:
            result.save(out)
    return result


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the pass may use; nothing here changes a number."""

    cache: str | Path | bool
    memory_gb: float | None
    checkpoint_seconds: float
    processes: Processes

    def store(self) -> AbstractContextManager[Store]:
        """The feature store; a temporary one is the main process's, shared by all."""
        if self.cache is False:
            return temporary_store(self.processes)
        return nullcontext(default_store(None if self.cache is True else self.cache))

    def of_pass(self, settings: AssessSettings) -> PassSettings:
        """What is asked of the pass."""
        return PassSettings(
            layers=settings.layers,
            pooling=settings.pooling,
            prefix=settings.prefix,
            batch_tokens=settings.batch_tokens,
            memory=None if self.memory_gb is None else int(self.memory_gb * 1e9),
            checkpoint_seconds=self.checkpoint_seconds,
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Scored:
    """Everything computed layer by layer."""

    rows: dict[int, dict[str, Any]]
    scores: dict[int, LayerScores]
    probes: dict[int, RidgeProbe]


def _assess(
    backbone: Backbone,
    task: Task,
    settings: AssessSettings,
    limits: _Limits,
    clock: StageClock,
    baseline: dict[str, Any] | None,
    progress: Progress | None,
) -> Assessment:
    folds_N = _folds(task, settings)
    with clock("tokenise"):
        tokens = {
            part: tokenise(backbone, split.texts, max_length=settings.max_length)
            for part, split in (("train", task.train), ("test", task.test))
        }
    with limits.store() as store:
        with clock("encode"):
            features = gather_features(
                backbone, tokens, limits.of_pass(settings), store, processes=limits.processes, progress=progress
            )
        result = _on_main(
            limits.processes, lambda: _score(backbone, task, tokens, features, folds_N, settings, clock, baseline)
        )
        if limits.processes.is_main:
            store.trim()  # also a pass that alone is larger than the store, now that it is no longer read
        return result


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
    scored = _score_layers(features, labels, settings, clock)
    choice = choose_layer(
        np.stack([scored.probes[layer].loss_N.numpy() for layer in settings.layers]), folds_N, settings.layers
    )
    with clock("probes"):
        probes = probe_table(features, task, choice, scored.rows, scored.probes, settings, baseline)
    with clock("scores"):
        best_ND = torch.from_numpy(features.part("train", choice.best))
        pooled = pooled_spectrum(layer_moments(best_ND, labels).total)
    task_facts, backbone_facts = task_card(task, tokens), backbone_card(backbone)
    flags = find_flags(task, backbone, {layer: scored.scores[layer].reasons for layer in settings.layers})
    return Assessment(
        task=task_facts,
        backbone=backbone_facts,
        settings={**asdict(settings), "layers": list(settings.layers)},
        layers=[scored.rows[layer] for layer in settings.layers],
        best_layer=choice.best,
        best_layer_frequency={str(layer): share for layer, share in choice.frequency.items()},
        curves=_lists(scored.scores[choice.best].curves),
        spectrum=_lists({**scored.scores[choice.best].spectra, "pooled": pooled}),
        probes=probes.rows,
        confusion=probes.confusion,
        predictions=probes.predictions,
        flags=flags,
        sentences=summarise(task_facts, backbone_facts, choice, scored.rows, probes),
        timings={**clock.seconds(), **_inside_encode(features.facts)},
        forward_pass=features.facts,
        environment=describe_environment(),
    )


def _inside_encode(facts: dict[str, Any]) -> dict[str, float]:
    """Where the seconds of the pass went, over all its sessions; none where it was made earlier."""
    parts = () if facts["reused"] else ("forward", "pooling", "moments", "checkpoint")
    return {f"encode: {part}": facts[f"{part}_seconds"] for part in parts}


def _folds(task: Task, settings: AssessSettings) -> np.ndarray:
    folds_N = grouped_folds(task.train.labels, settings.folds, groups_N=task.train.groups, seed=settings.seed)
    if not folds_N.any():
        raise TaskError(
            f"{task.name}: all {len(task.train):,} training texts are of one group, so none can be held out to choose "
            "a layer by; group them by another column (--group), or by none"
        )
    return folds_N


def _score_layers(features: Features, labels: Labels, settings: AssessSettings, clock: StageClock) -> _Scored:
    """One layer at a time: its features are read, scored, probed and let go."""
    rows, scores, probes = {}, {}, {}
    for layer in settings.layers:
        train_ND, test_MD = (torch.from_numpy(features.part(part, layer)) for part in ("train", "test"))
        with clock("scores"):
            moments = layer_moments(train_ND, labels)
            scores[layer] = score_layer(
                features.context(layer),
                moments.groups,
                moments.shuffled,
                conventions=settings.conventions,
                total=moments.total,
                rows=moments.rows,
                spectrum=False,
            )
        with clock("probes"):
            probes[layer], probed = probe_layer(train_ND, test_MD, moments, labels)
        rows[layer] = score_row(layer, scores[layer]) | probed
    return _Scored(rows, scores, probes)


def _lists(tensors: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    """Curves as lists of six significant digits, with the axis they share."""
    lists = {name: [float(f"{value:.6g}") for value in tensor.tolist()] for name, tensor in tensors.items()}
    longest = max((len(values) for values in lists.values()), default=0)
    return {"k": [float(k) for k in range(1, longest + 1)], **lists}
