"""Pretraining, step by step: tokenizer, shards, model, loop, samples."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokenworth.base.allocator import keep_freed_memory
from tokenworth.base.devices import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.locks import claimed
from tokenworth.base.run_record import note_or_compare, recorded_dtype
from tokenworth.base.versions import describe_environment
from tokenworth.errors import SettingError
from tokenworth.features import Processes
from tokenworth.pretraining.data.token_shards import Packed, tokenizer_fingerprint
from tokenworth.pretraining.data.training_data import alone_in_shards, gather, make_tokenizer, pack_all
from tokenworth.pretraining.emphasis import Emphasis
from tokenworth.pretraining.metrics_log import read_journal
from tokenworth.pretraining.next_token_objective import NextToken
from tokenworth.pretraining.pretrain_result import RUN, PretrainRun
from tokenworth.pretraining.pretraining_loop import Material, Pretraining, Progress
from tokenworth.pretraining.pretraining_settings import PretrainConfig, TrainingConfig, read_config
from tokenworth.pretraining.published_models import loaded_model, new_model, samples
from tokenworth.settings import Place, checked_arguments
from tokenworth.training.devices import Devices, find_devices
from tokenworth.training.tracker import make_tracker

STARTED = "started.json"
_FREE = ("checkpoint_seconds", "track", "device", "shards")
"""Settings that change no number."""


@checked_arguments
def pretrain(
    config: PretrainConfig | str | Path, out: Place, *, emphasis: Emphasis | None = None,
    progress: Progress | None = None,
) -> PretrainRun:  # fmt: skip
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
    folder = Path(out)
    devices = find_devices(shard=config.training.shard)
    _check_processes(config.training, devices.processes)
    dtype = ""
    with _main_claims(folder, devices.processes):
        with devices.processes.together():
            if devices.processes.is_main:
                dtype = recorded_dtype(folder / STARTED, config.training.dtype) or _asked_dtype(config.training)
                note_or_compare(folder / STARTED, {**_facts(config, emphasis), "dtype": dtype})
                with alone_in_shards(config):
                    pack_all(config, make_tokenizer(config, folder), folder)
        tokenizer = make_tokenizer(config, folder)
        if (done := _finished(folder)) is not None:
            return done
        packed = pack_all(config, tokenizer, folder)
        material = gather(config, tokenizer, folder)
        dtype = devices.processes.tell(dtype)
        return _trained(config, folder, devices, dtype, material, packed, emphasis, progress)


def _trained(
    config: PretrainConfig, folder: Path, devices: Devices, dtype: str, material: Material,
    packed: dict[str, Packed], emphasis: Emphasis | None, progress: Progress | None,
) -> PretrainRun:  # fmt: skip
    training, tokenizer = config.training, material.tokenizer
    model = (
        loaded_model(config.model, training)
        if isinstance(config.model, str)
        else new_model(config.model, training, tokenizer, config.seed)
    )
    run = _begun(config, model, material, packed)
    if devices.processes.is_main:
        run.save(folder)
    device = resolve_device(training.device)
    keep_freed_memory(device)
    track = training.track if devices.processes.is_main else None
    tracker = make_tracker(track, folder / "logs", "pretrain", asdict(training))
    loop = Pretraining(
        model, material, training, folder=folder, devices=devices, device=device,
        dtype=resolve_dtype(dtype, device), tracker=tracker,
        identity=json.dumps([tokenizer_fingerprint(tokenizer), {name: asdict(one) for name, one in packed.items()}]),
        emphasis=None if emphasis is None else emphasis.made(config, device), progress=progress)  # fmt: skip
    with closing(tracker):
        resumed = loop.run()
    run = _ended(run, loop, resumed)
    if devices.processes.is_main:
        last = folder / "checkpoints" / f"tokens-{loop.tokens}"
        run = replace(run, samples=samples(last, config.prompts, seed=config.seed))
        run.save(folder)
    devices.processes.wait()
    return run


def _begun(config: PretrainConfig, model: Any, material: Material, packed: dict[str, Packed]) -> PretrainRun:
    passes = material.mixture.passes()
    figures = ("train_tokens", "held_tokens", "train_documents", "held_documents", "train_bytes", "held_bytes")
    sources = {
        name: {key: getattr(one, key) for key in figures} | {"passes": passes.get(name, 0.0)}
        for name, one in packed.items()
    }
    return PretrainRun(
        settings=config.asdict(),
        parameters=count_parameters(model),
        train_flops_per_token=count_flops(model, config.training.context),
        tokenizer={"fingerprint": tokenizer_fingerprint(material.tokenizer), "vocabulary": len(material.tokenizer)},
        sources=sources,
        environment=describe_environment(),
    )


def _ended(run: PretrainRun, loop: Pretraining, resumed: int) -> PretrainRun:
    looks = [row["held_out"] for row in read_journal(loop.folder / "metrics.jsonl") if "held_out" in row]
    seconds = loop.position.seconds
    return replace(
        run, tokens=loop.tokens, seconds=seconds, tokens_per_second=loop.tokens / max(seconds, 1e-9),
        resumed_from_step=resumed, micro_batch=loop.position.micro_batch, held_out=looks[-1] if looks else {},
        finished=True)  # fmt: skip


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


def _facts(config: PretrainConfig, emphasis: Emphasis | None) -> dict[str, Any]:
    """Everything a run's numbers depend on, as JSON keeps it."""
    facts = config.asdict() | ({} if emphasis is None else {"emphasis": emphasis.facts()})
    training = facts.pop("training")
    return dict(
        json.loads(json.dumps({name: value for name, value in {**training, **facts}.items() if name not in _FREE}))
    )


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


def _finished(folder: Path) -> PretrainRun | None:
    if not (folder / RUN).is_file():
        return None
    run = PretrainRun.load(folder)
    return run if run.finished else None


def _check_processes(training: TrainingConfig, processes: Processes) -> None:
    if training.ring and processes.size < 2:
        raise SettingError("ring spreads sequences over several processes; start them with torchrun")
    divided, what = (training.context, "context") if training.ring else (training.batch, "batch")
    if divided % processes.size:
        raise SettingError(
            f"{processes.size} processes cannot share a {what} of {divided} evenly; choose a multiple of "
            f"{processes.size}"
        )


def _main_claims(folder: Path, processes: Processes) -> AbstractContextManager[None]:
    """Only the main process holds the folder: the others work in it for the same run."""
    return claimed(folder) if processes.is_main else nullcontext()
