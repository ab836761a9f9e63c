"""What an assessment will take, before anything is run: FLOPs, seconds, memory and disk.

Counted where it can be (tokens, FLOPs, bytes), and divided by the matrix rate measured on this machine, at the share
of it that real runs reach; docs/scaling.md compares forecasts with runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from tokenworth.assessment.assessment_settings import AssessCall
from tokenworth.backbones import Account, account_of, resolve_device, resolve_dtype
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.float32_products import float32_products
from tokenworth.encode.tokens import token_lengths
from tokenworth.features.layer_groups import layer_groups, moment_memory
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task

FORWARD_SHARE = 0.8
"""Share of the matrix rate that a forward pass reaches on a CPU; the rest is norms, softmax and memory."""
SCORES_PER_WIDTH, SCORES_PER_RANK = 65.0, 115.0
"""Closed forms of one layer with ten groups and twenty shuffles, in FLOPs at the float64 matrix rate: per D^3 for what
decomposes the width, and per R^3, R the lesser of D and the number of training texts, for what leaves groups out.
"""
_POOLINGS = 3


class Rates(NamedTuple):
    """Matrix products a second on a device, in FLOP/s."""

    forward: float
    """In the number format of the forward pass."""
    moments: float
    """In float32."""
    scores: float
    """In float64 on the CPU."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One backbone on one task."""

    texts: int
    tokens: int
    passes: int
    """Over the texts: more than one where the moments of all layers do not fit into memory."""
    forward_flops: float
    moment_flops: float
    forward_seconds: float
    moment_seconds: float
    score_seconds: float
    weight_bytes: int
    moment_bytes: int
    """Of the layers held at once."""
    feature_bytes: int
    """On disk, all poolings."""

    @property
    def seconds(self) -> float:
        """Forward passes, moments and closed forms; not loading, tokenising and probes."""
        return self.forward_seconds + self.moment_seconds + self.score_seconds


def forecast(
    account: Account,
    lengths_N: np.ndarray,
    n_train: int,
    rates: Rates,
    *,
    memory: int,
    bytes_a_weight: int,
    processes: int = 1,
) -> Forecast:
    """The forecast from counts.

    Args:
        account: of the backbone; its FLOPs per token are those of its own context, so count it at the mean length.
        lengths_N: tokens of each text, both parts.
        n_train: training texts.
        rates: of this machine, or of one that is planned for.
        memory: bytes that moments may take.
        bytes_a_weight: 2 or 4.
        processes: replicas that share the pass.
    """
    n_layers, width, tokens = len(account.blocks) + 1, account.width, int(lengths_N.sum())
    groups = layer_groups(tuple(range(n_layers)), width, memory)
    # Each further pass stops at its highest layer.
    blocks_run = sum(1.0 if place == 0 else group[-1] / len(account.blocks) for place, group in enumerate(groups))
    forward_flops = tokens * account.flops_per_token() * blocks_run
    moment_flops = tokens * account.moment_flops_per_token()
    cubes = SCORES_PER_WIDTH * width**3 + SCORES_PER_RANK * min(width, n_train) ** 3
    return Forecast(
        texts=len(lengths_N),
        tokens=tokens,
        passes=len(groups),
        forward_flops=forward_flops,
        moment_flops=moment_flops,
        forward_seconds=forward_flops / (FORWARD_SHARE * rates.forward * processes),
        moment_seconds=moment_flops / (FORWARD_SHARE * rates.moments * processes),
        score_seconds=n_layers * cubes / rates.scores,
        weight_bytes=bytes_a_weight * account.parameters,
        moment_bytes=16 * width**2 * len(groups[0]),
        feature_bytes=4 * _POOLINGS * n_layers * len(lengths_N) * width,
    )


@keywords_of(AssessCall)
def forecast_assessment(call: AssessCall) -> Forecast:
    """The forecast of an assessment on this machine, whose rates are measured.

    Raises:
        BackboneError, TaskError, SettingError: as `assess`, as far as configuration and tokenizer show it.
    """
    assert isinstance(call.model, str), "the name of a backbone"
    task = call.task if isinstance(call.task, Task) else load_task(call.task, seed=call.seed)
    place = resolve_device(call.device)
    precision = resolve_dtype(call.dtype, place)
    lengths_N = token_lengths(call.model, task, call.max_length, call.tokenizer)
    return forecast(
        account_of(call.model.removesuffix(RANDOM_SUFFIX), context=max(1, round(float(lengths_N.mean())))),
        lengths_N,
        len(task.train),
        measure_rates(place, precision),
        memory=moment_memory(place) if call.memory_gb is None else int(call.memory_gb * 1e9),
        bytes_a_weight=precision.itemsize,
    )


def measure_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """The matrix rates of this machine, in about a second."""
    cpu = torch.device("cpu")
    return Rates(_rate(device, dtype), _rate(device, torch.float32), _rate(cpu, torch.float64))


def _rate(device: torch.device, dtype: torch.dtype, size: int = 1024, seconds: float = 0.3) -> float:
    a = torch.randn(size, size, device=device).to(dtype)
    times: list[float] = []
    with float32_products():
        while sum(times) < seconds or len(times) < 3:
            start = perf_counter()
            _ = (a @ a)[0, 0].item()  # waits for the device
            times.append(perf_counter() - start)
    return float(2 * size**3 / np.median(times))
