"""What a trained route will take, before anything is loaded: parameters, tokens, FLOPs, seconds, bytes.

The model is built without weights, with its adapters, and its FLOPs are counted as in the run itself; batches are drawn
as the run will draw them.  Seconds are the FLOPs at a share of the matrix rate measured on this machine, and a constant
for every step and for every tensor that learns; docs/benchmarks.md compares them with runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from tokenworth.adaptation.forecast.drawn_steps import draw_steps, evaluation_flops
from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.forecast.training_memory import TrainingMemory, count_memory
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.run_settings import settings_for
from tokenworth.adaptation.training.batch_cuts import Prices, StepCost, heads_of, prices
from tokenworth.assessment.assessment_forecast import measure_rates
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.backbones.accounting.block_calls import depth_and_width
from tokenworth.backbones.accounting.meta_model import meta_named
from tokenworth.backbones.accounting.shape_pass import without_weights
from tokenworth.backbones.loading.assembly import context_length
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.tokenizer import tokenizer_of
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.backbones.structure.text_attention import is_expected
from tokenworth.base.aliases import Long
from tokenworth.encode.long_texts import ReadLengths
from tokenworth.encode.tokens import lengths_by_part
from tokenworth.errors import SettingError
from tokenworth.tasks import Task

TRAINING_SHARE = 0.6
"""Share of the matrix rate (measured in a burst on large products) that training keeps up on a CPU."""
SECONDS_PER_STEP = 0.01
"""On a CPU whatever is computed: drawing, packing, the loop around it."""
SECONDS_PER_TENSOR = 3e-4
"""Of a step, for every tensor that learns, whatever its size: calls of the library, dropout, the optimiser."""
_BYTES_KEPT = 4


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
    parts = lengths_by_part(model, task, _limit(model, route, config, tokenizer), tokenizer, dearest(config))[1:]
    return forecast_route(
        model.removesuffix(RANDOM_SUFFIX),
        route,
        config,
        task.n_classes,
        *parts,
        measure_rates(place, precision).forward,
        hardware=Hardware(place.type, precision.itemsize),
    )


def forecast_route(
    name: str,
    route: str,
    config: ResolvedConfig,
    n_classes: int,
    train: np.ndarray | ReadLengths,
    test: np.ndarray | ReadLengths,
    rate: float,
    *,
    hardware: Hardware | None = None,
) -> RouteForecast:
    """The forecast of a trained route, from the tokens of each text; of the model only its configuration is read.

    `train` and `test` are tokens of texts, or of their pieces; `long: choose` is forecast as its dearest way, chunks.
    `rate` is that of matrix products in FLOP/s on the device, in the format of the products; without `hardware` it is a
    processor's, in float32.  The texts that the route contrastive pairs are drawn as from classes of like size.

    Raises:
        SettingError: a route that trains nothing.
        BackboneError: the backbone is not found, or cannot be counted.
    """
    if route not in TRAINED:
        raise SettingError(f"a forecast is made of {', '.join(TRAINED)}; the route {route} trains no network")
    hardware, read, tested = hardware or Hardware(), _read(train), _read(test)
    train_lengths_P = read.lengths_P
    model, head = untrained(name, route, config, n_classes)
    with without_weights(model):
        usual = {"length": round(float(train_lengths_P.mean())), "longest": int(train_lengths_P.max())}
        cost = count_training(model, head, head.in_features, torch.device("meta"), **usual)
    training = replace(cost.training, by_text=config.packing and is_expected(model, hardware.device))
    price = _price(name, model, head, training, hardware.device)
    weights = [*model.parameters(), *head.parameters()]
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    held = _held(name, model, head, config, hardware)
    drawn = draw_steps(route, config, read, n_classes, training, price, held)
    evaluating = evaluation_flops(route, config, read, tested, cost.forward)
    return RouteForecast(
        route=route,
        trainable=learning,
        total=sum(weight.numel() for weight in weights),
        tokens=drawn.tokens,
        train_flops=drawn.flops,
        train_seconds=drawn.priced / (TRAINING_SHARE * rate) + config.steps * _beside_products(model),
        evaluate_flops=evaluating,
        evaluate_seconds=evaluating / (TRAINING_SHARE * rate),
        memory_bytes=round(drawn.most_bytes),
        least_memory_bytes=round(held.of(np.repeat(train_lengths_P.max(), ROUTES[route].texts_a_row))),
        checkpoint_bytes=_BYTES_KEPT * learning * (2 if config.keeps_best else 1),
    )


def _beside_products(model: nn.Module) -> float:
    """Seconds of a step that are not spent in products."""
    return SECONDS_PER_STEP + SECONDS_PER_TENSOR * sum(weight.requires_grad for weight in model.parameters())


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


def dearest(config: AdaptConfig) -> Long:
    """What of long texts is read; of what is chosen the dearest way."""
    return "chunks" if config.long == "choose" else config.long


def _limit(model: str, route: str, config: AdaptConfig, tokenizer: str | None) -> int:
    """Tokens that are read at once: what is asked for, and no more than model, tokenizer and virtual tokens allow."""
    words, _ = tokenizer_of(model.removesuffix(RANDOM_SUFFIX), tokenizer)
    longest, _ = context_length(meta_named(model.removesuffix(RANDOM_SUFFIX)), words)
    longest -= config.virtual_tokens if route == "lora" and KINDS[config.tuning].lengthens else 0
    return min(config.max_length or longest, longest)


def _read(texts: np.ndarray | ReadLengths) -> ReadLengths:
    return texts if isinstance(texts, ReadLengths) else ReadLengths(texts)


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
