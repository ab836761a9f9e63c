"""What a trained route will take, before anything is loaded: parameters, tokens, FLOPs, seconds, bytes.

The model is built without weights, with its adapters, and its FLOPs are counted as in the run itself; batches are drawn
as the run will draw them.  Seconds are the FLOPs at a share of the matrix rate measured on this machine, and a constant
for every block and step; docs/routes.md compares them with runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import nn

from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.forecast.training_memory import TrainingMemory, count_memory
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_names import NETWORK_TRAIN_TEXTS, ROUTES
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.run_settings import settings_for
from tokenworth.adaptation.training.batch_cuts import (
    PROHIBITIVE,
    Group,
    Prices,
    StepCost,
    heads_of,
    plan_groups,
    prices,
)
from tokenworth.adaptation.training.text_order import Order
from tokenworth.adaptation.training.text_pairs import TextPairs
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.backbones.accounting.block_calls import depth_and_width
from tokenworth.backbones.accounting.meta_model import meta_named
from tokenworth.backbones.accounting.shape_pass import without_weights
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.backbones.structure.text_attention import is_expected
from tokenworth.encode.tokens import token_lengths
from tokenworth.errors import SettingError
from tokenworth.tasks import Task

TRAINING_SHARE = 0.6
"""Share of the matrix rate (measured in a burst on large products) that training keeps up on a CPU."""
SECONDS_PER_TENSOR = {"lora": 6e-4, "full": 3e-4, "contrastive": 3e-4, "scratch": 3e-4}
"""Of a step, for every tensor that learns, whatever its size: calls of the library, dropout, the optimiser."""
_BYTES_KEPT = 4
_STEPS_DRAWN = 300


@dataclass(frozen=True, slots=True)
class RouteForecast:
    """One trained route of one backbone on one task."""

    route: str
    trainable: int
    total: int
    tokens: int
    """Real tokens trained on."""
    train_flops: float
    train_seconds: float
    evaluate_flops: float
    evaluate_seconds: float
    memory_bytes: int
    """Weights, gradients and the activations of the largest pass; the process and its libraries come on top."""
    least_memory_bytes: int
    """With the longest text in a pass of its own, to which a run that is short of memory comes down."""
    checkpoint_bytes: int

    @property
    def seconds(self) -> float:
        """Training, to the last step, and all evaluations."""
        return self.train_seconds + self.evaluate_seconds


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a forecast is made for."""

    device: str = "cpu"
    """Its kind, "cpu" or "cuda"."""
    bytes_a_weight: int = 4
    """Of frozen weights and of activations; weights that learn take 4."""


def forecast_run(
    model: str, task: Task, route: str, config: AdaptConfig, *, device: str = "auto", dtype: str = "auto",
    tokenizer: str | None = None,
) -> RouteForecast:  # fmt: skip
    """The forecast of a route on this machine, whose rates are measured; see `forecast_route`."""
    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
    config = settings_for(config, route, model, task, seed=0)[0]
    lengths_N = token_lengths(model, task, config.max_length, tokenizer)
    n_train = len(task.train)
    return forecast_route(
        model.removesuffix(RANDOM_SUFFIX),
        route,
        config,
        task.n_classes,
        lengths_N[:n_train],
        lengths_N[n_train:],
        measure_rates(place, precision).forward,
        hardware=Hardware(place.type, precision.itemsize),
    )


def forecast_route(
    name: str,
    route: str,
    config: ResolvedConfig,
    n_classes: int,
    train_lengths_N: np.ndarray,
    test_lengths_M: np.ndarray,
    rate: float,
    *,
    hardware: Hardware | None = None,
) -> RouteForecast:
    """The forecast of a trained route, from the tokens of each text; of the model only its configuration is read.

    `rate` is that of matrix products in FLOP/s on the device, in the format of the products; without `hardware` it is a
    processor's, in float32.  The texts that the route contrastive pairs are drawn as from classes of like size.

    Raises:
        SettingError: a route that trains nothing.
        BackboneError: the backbone is not found, or cannot be counted.
    """
    if route not in TRAINED:
        raise SettingError(f"a forecast is made of {', '.join(TRAINED)}; the route {route} trains no network")
    hardware = hardware or Hardware()
    model, head = untrained(name, route, config, n_classes)
    with without_weights(model):
        usual = {"length": round(float(train_lengths_N.mean())), "longest": int(train_lengths_N.max())}
        cost = count_training(model, head, head.in_features, torch.device("meta"), **usual)
    training = replace(cost.training, by_text=config.packing and is_expected(model, hardware.device))
    price = _price(name, model, head, training, hardware.device)
    weights = [*model.parameters(), *head.parameters()]
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    held = _held(name, model, head, config, hardware)
    passes = _passes(route, config, train_lengths_N, n_classes, price)
    tokens, flops, priced, most_bytes = _steps(config, train_lengths_N, (training, price.cost, held), passes)
    evaluating = _evaluated(config, train_lengths_N, test_lengths_M, cost.forward)
    tensors = sum(weight.requires_grad for weight in model.parameters())
    return RouteForecast(
        route=route,
        trainable=learning,
        total=sum(weight.numel() for weight in weights),
        tokens=tokens,
        train_flops=flops,
        train_seconds=priced / (TRAINING_SHARE * rate) + config.steps * tensors * SECONDS_PER_TENSOR[route],
        evaluate_flops=evaluating,
        evaluate_seconds=evaluating / (TRAINING_SHARE * rate),
        memory_bytes=round(most_bytes),
        least_memory_bytes=round(held.of(np.repeat(train_lengths_N.max(), ROUTES[route].texts_a_row))),
        checkpoint_bytes=_BYTES_KEPT * learning * (2 if config.keeps_best else 1),
    )


def _held(name: str, model: Any, head: nn.Linear, config: ResolvedConfig, hardware: Hardware) -> TrainingMemory:
    """Memory of training, with the weights of the best step where they are kept: a card's lie in main memory."""
    bits, wide = config.quantise, hardware.bytes_a_weight
    held = count_memory(model, head, bytes_a_number=wide, bits=bits, device=hardware.device)
    if config.packing and is_expected(model, hardware.device):
        held = _with_shares(held, name, model, head, hardware)
    if not config.keeps_best or hardware.device != "cpu":
        return held
    learning = sum(weight.numel() for weight in (*model.parameters(), *head.parameters()) if weight.requires_grad)
    return held._replace(state=held.state + _BYTES_KEPT * learning)


def _with_shares(held: TrainingMemory, name: str, model: Any, head: nn.Linear, hardware: Hardware) -> TrainingMemory:
    """Where packed texts attend apart, what each token takes of each other of its text is kept for the way back."""
    blocks, _ = depth_and_width(meta_named(name))
    shares = blocks * heads_of(model.config, head.in_features) * hardware.bytes_a_weight
    return held._replace(kept=replace(held.kept, pair=held.kept.pair or shares, by_text=True))


def _evaluated(
    config: ResolvedConfig, train_lengths_N: np.ndarray, test_lengths_M: np.ndarray, cost: StepCost
) -> float:
    """FLOPs of every text that is read for an evaluation: at the end, and if training does not end before."""
    texts = round(config.validation_share * len(train_lengths_N)) if config.keeps_best else 0
    times = ceil(config.steps / config.steps_between_evaluations)
    parts = [test_lengths_M, train_lengths_N[:NETWORK_TRAIN_TEXTS], np.tile(train_lengths_N[:texts], times)]
    lengths_E = np.concatenate(parts).astype(np.float64)
    return float((lengths_E * cost.token + lengths_E**2 * cost.pair).sum())


def untrained(name: str, route: str, config: AdaptConfig, n_classes: int) -> tuple[nn.Module, nn.Linear]:
    """What a trained route would train, without weights: the base model with its adapters, and the head.

    Raises:
        BackboneError: the backbone is not found.
    """
    model = meta_named(name)
    _, width = depth_and_width(model)
    if route == "lora":
        with quiet_transformers():
            KINDS[config.tuning].attach(model, name, config, 0)
    pooling = ROUTES[route].pooling if config.pooling == "auto" else config.pooling
    pooled = width * (1 + pooling.count("+"))
    return model, nn.Linear(pooled, n_classes, bias=config.head_bias, device="meta")


def _price(name: str, model: Any, head: nn.Linear, cost: StepCost, device: str) -> Prices:
    blocks, _ = depth_and_width(meta_named(name))
    return prices(cost, device, blocks, heads_of(model.config, head.in_features))


def _passes(
    route: str, config: ResolvedConfig, lengths_N: np.ndarray, n_classes: int, price: Prices
) -> Callable[[int], list[Group]]:
    """The passes of a step, as the run will make them; texts that are compared go through one."""
    paired, n = ROUTES[route].texts_a_row > 1, len(lengths_N)
    pairs = TextPairs(np.arange(n) % n_classes, seed=0) if paired else None
    order, most = Order(n, config.batch, seed=0), config.micro_batch or config.batch
    whole = replace(price, one_pass=PROHIBITIVE)

    def passes(step: int) -> list[Group]:
        rows = order.rows(step)
        if pairs is None:
            return plan_groups(rows, lengths_N, price, most=most, packing=config.packing)
        read = [pairs.texts(step, rows[start : start + most]) for start in range(0, len(rows), most)]
        cut = [plan_groups(rows_U, lengths_N, whole, most=len(rows_U), packing=config.packing) for rows_U in read]
        return [group for groups in cut for group in groups]

    return passes


def _steps(
    config: ResolvedConfig,
    lengths_N: np.ndarray,
    costs: tuple[StepCost, StepCost, TrainingMemory],
    passes: Callable[[int], list[Group]],
) -> tuple[int, float, float, float]:
    """Tokens, FLOPs, FLOPs as they are priced, and bytes of the largest pass, from some of the batches to be drawn."""
    drawn, (cost, price, held) = min(config.steps, _STEPS_DRAWN), costs
    tokens, flops, priced, most_bytes = 0, 0.0, 0.0, 0.0
    for step in range(drawn):
        for group in passes(step):
            lengths_B = lengths_N[group.rows]
            tokens += int(lengths_B.sum())
            flops += cost.of(lengths_B, packed=group.packed)
            priced += price.of(lengths_B, packed=group.packed)
            most_bytes = max(most_bytes, held.of(lengths_B, packed=group.packed))
    share = config.steps / drawn
    return round(tokens * config.steps / drawn), flops * share, priced * share, most_bytes
