"""What a trained route will take, before anything is loaded: parameters, tokens, FLOPs, seconds, bytes.

The model is built without weights, with its adapters, and its FLOPs are counted as in the run itself; batches are drawn
as the run will draw them.  Seconds are the FLOPs at a share of the matrix rate measured on this machine, and a constant
for every block and step; docs/routes.md compares them with runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.forecast.training_memory import TrainingMemory, count_memory
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.adaptation.routes.lora import add_lora
from tokenworth.adaptation.training.batch_cuts import Prices, StepCost, heads_of, plan_groups, prices
from tokenworth.adaptation.training.text_order import Order
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.backbones.accounting.block_calls import depth_and_width
from tokenworth.backbones.accounting.meta_model import meta_named
from tokenworth.backbones.accounting.shape_pass import without_weights
from tokenworth.backbones.loading.loader import RANDOM_SUFFIX
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.encode.lengths import token_lengths
from tokenworth.errors import SettingError
from tokenworth.tasks import Task

TRAINING_SHARE = 0.6
"""Share of the matrix rate (measured in a burst on large products) that training keeps up on a CPU."""
SECONDS_PER_TENSOR = {"lora": 6e-4, "full": 3e-4, "scratch": 3e-4}
"""Of a step, for every tensor that learns, whatever its size: calls of the library, dropout, the optimiser."""
EVALUATED_TRAIN_TEXTS = 2000
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
        """Training and the evaluations at the end."""
        return self.train_seconds + self.evaluate_seconds


def forecast_run(
    model: str, task: Task, route: str, config: AdaptConfig, *, device: str = "auto", dtype: str = "auto",
    tokenizer: str | None = None,
) -> RouteForecast:  # fmt: skip
    """The forecast of a route on this machine, whose rates are measured; see `forecast_route`."""
    place = resolve_device(device)
    precision = resolve_dtype(dtype, place)
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
        bytes_a_weight=precision.itemsize,
        device=place.type,
    )


def forecast_route(
    name: str,
    route: str,
    config: AdaptConfig,
    n_classes: int,
    train_lengths_N: np.ndarray,
    test_lengths_M: np.ndarray,
    rate: float,
    *,
    bytes_a_weight: int = 4,
    device: str = "cpu",
    seed: int = 0,
) -> RouteForecast:
    """The forecast of lora, full or scratch.

    Args:
        name: published name, hub id or folder; only its configuration is read.
        route: one of TRAINED.
        config: settings of the run.
        n_classes: C.
        train_lengths_N: tokens of each training text.
        test_lengths_M: tokens of each test text.
        rate: matrix products in FLOP/s on the device, in the format of the products.
        bytes_a_weight: of frozen weights and of activations; weights that learn take 4.
        device: kind of device, "cpu" or "cuda".
        seed: of the order of texts.

    Raises:
        SettingError: a route that trains nothing.
        BackboneError: the backbone is not found, or cannot be counted.
    """
    if route not in TRAINED:
        raise SettingError(f"a forecast is made of {', '.join(TRAINED)}; the route {route} trains no network")
    model, head = untrained(name, route, config, n_classes, seed)
    with without_weights(model):
        usual = round(float(train_lengths_N.mean()))
        cost = count_training(model, head, head.in_features, torch.device("meta"), length=usual)
    learning = sum(weights.numel() for weights in (*model.parameters(), *head.parameters()) if weights.requires_grad)
    total = sum(weights.numel() for weights in (*model.parameters(), *head.parameters()))
    own: Any = model.config
    price = prices(cost.training, device, depth_and_width(meta_named(name))[0], heads_of(own, head.in_features))
    held = count_memory(model, head, bytes_a_number=bytes_a_weight, bits=config.quantise, device=device)
    steps = _training(config, train_lengths_N, cost.training, price, held, seed)
    tensors = sum(weights.requires_grad for weights in model.parameters())
    evaluated = np.concatenate([test_lengths_M, train_lengths_N[:EVALUATED_TRAIN_TEXTS]]).astype(np.float64)
    forward = float((evaluated * cost.forward.token + evaluated**2 * cost.forward.pair).sum())
    return RouteForecast(
        route=route,
        trainable=learning,
        total=total,
        tokens=steps.tokens,
        train_flops=steps.flops,
        train_seconds=steps.priced / (TRAINING_SHARE * rate) + config.steps * tensors * SECONDS_PER_TENSOR[route],
        evaluate_flops=forward,
        evaluate_seconds=forward / (TRAINING_SHARE * rate),
        memory_bytes=round(steps.most_bytes),
        least_memory_bytes=round(held.of(train_lengths_N.max(keepdims=True))),
        checkpoint_bytes=4 * learning,
    )


def untrained(name: str, route: str, config: AdaptConfig, n_classes: int, seed: int = 0) -> tuple[nn.Module, nn.Linear]:
    """What a trained route would train, without weights: the base model with its adapters, and the head.

    Raises:
        BackboneError: the backbone is not found.
    """
    model = meta_named(name)
    _, width = depth_and_width(model)
    if route == "lora":
        with quiet_transformers():
            add_lora(model, name, config, seed)
    pooled = width * (1 + config.pooling.count("+"))
    return model, nn.Linear(pooled, n_classes, bias=config.head_bias, device="meta")


@dataclass(slots=True)
class _Steps:
    """Sums over steps."""

    tokens: int = 0
    """Real ones."""
    flops: float = 0.0
    priced: float = 0.0
    """FLOPs as they are priced."""
    most_bytes: float = 0.0
    """Memory of the largest pass."""


def _training(
    config: AdaptConfig, lengths_N: np.ndarray, cost: StepCost, price: Prices, held: TrainingMemory, seed: int
) -> _Steps:
    """All steps, from some of the batches that will be drawn."""
    order, drawn = Order(len(lengths_N), config.batch, seed), min(config.steps, _STEPS_DRAWN)
    most, found = config.micro_batch or config.batch, _Steps()
    for step in range(drawn):
        rows = order.rows(step)
        found.tokens += int(lengths_N[rows].sum())
        for group in plan_groups(rows, lengths_N, price, most=most, packing=config.packing):
            lengths_B = lengths_N[group.rows]
            found.flops += cost.of(lengths_B, packed=group.packed)
            found.priced += price.cost.of(lengths_B, packed=group.packed)
            found.most_bytes = max(found.most_bytes, held.of(lengths_B, packed=group.packed))
    found.tokens = round(found.tokens * config.steps / drawn)
    found.flops *= config.steps / drawn
    found.priced *= config.steps / drawn
    return found
