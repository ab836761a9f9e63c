"""Pretraining, step by step: tokenizer, shards, model, loop, samples."""

from __future__ import annotations

import json
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokenworth.base.aliases import Progress
from tokenworth.base.devices import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.base.locks import claimed
from tokenworth.base.machine import keep_freed_memory
from tokenworth.base.processes import Processes
from tokenworth.base.run_record import note_or_compare, recorded_dtype
from tokenworth.base.versions import describe_environment
from tokenworth.errors import PretrainError, SettingError
from tokenworth.pretraining.data.token_shards import tokenizer_fingerprint
from tokenworth.pretraining.data.training_data import Material, alone_in_shards, gather, make_tokenizer, pack_all
from tokenworth.pretraining.group_dro import ExcessLoss
from tokenworth.pretraining.metrics_log import read_journal
from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.next_token_training import NextTokenLearner
from tokenworth.pretraining.pretrain_result import RUN, PretrainRun
from tokenworth.pretraining.pretraining_settings import PretrainConfig, TrainingConfig, read_config
from tokenworth.pretraining.published_models import load_model, new_model, samples
from tokenworth.settings import Place, checked_arguments
from tokenworth.training.checkpoints import Checkpoints
from tokenworth.training.devices import Compute, find_devices
from tokenworth.training.loop import Loop
from tokenworth.training.tracker import make_tracker

STARTED = "started.json"
_FREE = ("checkpoint_seconds", "track", "device", "shards")
"""Settings that change no number."""


@checked_arguments
def pretrain(
    config: PretrainConfig | str | Path,
    out: Place,
    *,
    emphasis: ExcessLoss | None = None,
    progress: Progress | None = None,
) -> PretrainRun:
    """Train a decoder on next tokens, from first weights or from a checkpoint; called again, it goes on.

    Args:
        config: settings, or the YAML file that holds them.
        out: RUN: checkpoints/tokens-N (plain transformers folders), metrics.jsonl, run.json, shards, tokenizer, state.
        emphasis: how much each sequence of a step counts, such as `ExcessLoss`; None: all alike.
        progress: called as progress(what, steps_done, steps).

    Raises:
        SettingError: a setting is impossible, a source cannot be read, or another run lies in the folder.
        PretrainError: the documents do not suffice, the training cannot go on, or a file cannot be written.
    """
    config = config if isinstance(config, PretrainConfig) else read_config(config)
    folder, devices = Path(out), find_devices(shard=config.training.shard)
    processes, dtype = devices.processes, ""
    _check_processes(config.training, processes)
    with claimed(folder) if processes.is_main else nullcontext():  # the others work in it for the same run
        with processes.together():
            if processes.is_main:
                dtype = recorded_dtype(folder / STARTED, config.training.dtype) or _asked_dtype(config.training)
                note_or_compare(folder / STARTED, {**_facts(config, emphasis), "dtype": dtype})
                with alone_in_shards(config):
                    pack_all(config, make_tokenizer(config, folder), folder)
        tokenizer = make_tokenizer(config, folder)
        if (folder / RUN).is_file() and (done := PretrainRun.load(folder)).finished:
            return done
        material, device = gather(config, tokenizer, folder), resolve_device(config.training.device)
        compute = Compute(devices, device, resolve_dtype(processes.tell(dtype), device))
        run, learner = _prepare(config, material, compute, emphasis)
        return _train(config, run, learner, progress)


def _prepare(
    config: PretrainConfig, material: Material, compute: Compute, emphasis: ExcessLoss | None
) -> tuple[PretrainRun, NextTokenLearner]:
    """The run as it is before its first step, and what learns."""
    if isinstance(config.model, str):
        decoder = load_model(config.model, config.training)
    else:
        decoder = new_model(config.model, config.training, material.tokenizer, config.seed)
    run = _describe(config, material, decoder)
    weigher = None if emphasis is None else emphasis.begin(config, compute.device)
    return run, NextTokenLearner(decoder, material, config.training, compute, weigher)


def _train(
    config: PretrainConfig, run: PretrainRun, learner: NextTokenLearner, progress: Progress | None
) -> PretrainRun:
    folder, compute = learner.material.folder, learner.compute
    is_main = compute.processes.is_main
    if is_main:
        run.save(folder)
    keep_freed_memory(compute.device)
    track = config.training.track if is_main else None
    with closing(make_tracker(track, folder / "logs", "pretrain", asdict(config.training))) as tracker:
        loop = Loop(learner, Checkpoints(folder / "state", PretrainError), tracker, progress)
        with float32_products(), short_attention(config.training.context, compute.dtype, compute.device):
            resumed = loop.run()
        loop.keep()
    looks = [row["held_out"] for row in read_journal(folder / "metrics.jsonl") if "held_out" in row]
    position, tokens = learner.position, learner.tokens
    run = replace(
        run,
        tokens=tokens,
        seconds=position.seconds,
        tokens_per_second=tokens / max(position.seconds, 1e-9),
        resumed_from_step=resumed,
        micro_batch=position.micro_batch,
        held_out=looks[-1] if looks else {},
        finished=True,
    )
    if is_main:
        last = folder / "checkpoints" / f"tokens-{tokens}"
        run = replace(run, samples=samples(last, config.prompts, seed=config.seed))
        run.save(folder)
    compute.processes.wait()
    return run


def _describe(config: PretrainConfig, material: Material, decoder: Any) -> PretrainRun:
    passes, tokenizer = material.mixture.passes(), material.tokenizer
    figures = ("train_tokens", "held_tokens", "train_documents", "held_documents", "train_bytes", "held_bytes")
    return PretrainRun(
        settings=config.asdict(),
        parameters=count_parameters(decoder),
        train_flops_per_token=count_flops(decoder, config.training.context),
        tokenizer={"fingerprint": tokenizer_fingerprint(tokenizer), "vocabulary": len(tokenizer)},
        sources={
            name: {key: getattr(source, key) for key in figures} | {"passes": passes.get(name, 0.0)}
            for name, source in material.packed.items()
        },
        environment=describe_environment(),
    )


def count_parameters(model: Any) -> dict[str, int]:
    """total; non_embedding: without embeddings and head; active: without the experts that are not asked for a token."""
    total = sum(p.numel() for p in model.parameters())
    outside = {id(p): p.numel() for name, p in model.named_parameters() if "embed" in name or "lm_head" in name}
    experts = int(getattr(model.config, "num_local_experts", 0) or 0)
    idle = 0
    if experts:
        inside = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
        idle = inside * (experts - model.config.num_experts_per_tok) // experts
    return {"total": total, "non_embedding": total - sum(outside.values()), "active": total - idle}


def count_flops(model: Any, context: int) -> float:
    """FLOPs of forward and backward a token of a full sequence, counted on the model itself."""
    kept = model.config._attn_implementation  # a ring is counted as the attention it computes
    model.config._attn_implementation = "sdpa"
    objective = NextToken(model, cross_documents=True)
    ids = torch.zeros(1, context, dtype=torch.long)
    # Only the plain form of attention is made of products that the counter sees on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        nats, balance = objective(ids, ids, ids)
        (nats + balance).backward()
    model.config._attn_implementation = kept
    for weights in model.parameters():
        weights.grad = None
    return counter.get_total_flops() / context


def _facts(config: PretrainConfig, emphasis: ExcessLoss | None) -> dict[str, Any]:
    """Everything a run's numbers depend on, as JSON keeps it."""
    facts = config.asdict() | ({} if emphasis is None else {"emphasis": emphasis.facts()})
    facts = {**facts.pop("training"), **facts}
    return dict(json.loads(json.dumps({name: value for name, value in facts.items() if name not in _FREE})))


def _asked_dtype(training: TrainingConfig) -> str:
    """The number format of products that the settings ask for, by name.

    Raises:
        SettingError: it is not understood, or pretraining cannot be done in it.
    """
    asked = dtype_name(training.dtype)
    if asked in ("float16", "float64"):
        why = "underflows" if asked == "float16" else "would be rounded: weights are kept in float32"
        raise SettingError(f"dtype {asked} {why}; choose bfloat16, float32 or auto")
    return dtype_name(resolve_dtype("auto", resolve_device(training.device))) if asked == "auto" else asked


def _check_processes(training: TrainingConfig, processes: Processes) -> None:
    if training.ring and processes.size < 2:
        raise SettingError("ring spreads sequences over several processes; start them with torchrun")
    divided, what = (training.context, "context") if training.ring else (training.batch, "batch")
    if divided % processes.size:
        raise SettingError(
            f"{processes.size} processes cannot share a {what} of {divided} evenly; choose a multiple of "
            f"{processes.size}"
        )
