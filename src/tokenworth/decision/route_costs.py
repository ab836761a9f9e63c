"""What each route of a backbone would cost: to train, to keep and to predict with."""

from __future__ import annotations

from dataclasses import dataclass

from tokenworth.adaptation.forecast.route_forecast import Hardware, forecast_route
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import TRAINED
from tokenworth.assessment.assessment_forecast import FORWARD_SHARE
from tokenworth.backbones import account_of
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.decision.budget import Machine
from tokenworth.encode.tokens import token_lengths
from tokenworth.tasks import Task

MILLION = 1_000_000
BOW_SECONDS_PER_CHARACTER, _BOW_CLASS, BOW_PREDICTING_PER_CHARACTER = 5e-6, 0.1, 1e-6
"""Fitted by eye to 17 tasks on one busy core (docs/results/bag_of_words.md), within a factor of two and a half."""
_PROMPT_TOKENS, _LABEL_TOKENS = 20, 3
"""Of a generic template, and of the name of a class."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one route.  FLOPs of bow are not counted: it does no matrix products."""

    flops: float
    """To get it: training and the evaluation at the end."""
    seconds: float
    money: float | None
    trainable: int
    storage_bytes: int
    """Of what the route adds to the backbone, or of all weights where it changes all."""
    million_flops: float
    """Of a million predictions on texts as long as the task's, one after the other."""
    million_seconds: float
    million_money: float | None
    memory_bytes: int
    """The least it can do with: weights, gradients, and the activations of the longest text alone."""


def bow_cost(task: Task, machine: Machine) -> Cost:
    """Of the bag of words, by characters and classes."""
    characters = task.counts["characters"]["train"]["mean"]
    seconds = len(task.train) * characters * BOW_SECONDS_PER_CHARACTER * (1 + _BOW_CLASS * task.n_classes)
    predicting = MILLION * characters * BOW_PREDICTING_PER_CHARACTER
    words = min(50_000, 20 * len(task.train))
    weights = words * (task.n_classes if task.n_classes > 2 else 1)
    return Cost(0, seconds, machine.money(seconds), weights, 8 * weights, 0, predicting, machine.money(predicting), 0)


def route_cost(
    model: str, task: Task, route: str, machine: Machine, config: ResolvedConfig, *, layer: int | None = None
) -> Cost:
    """Of a route of a model, from counts; only configuration and tokenizer are read.

    `layer` is the one that a probe reads: it takes a pass of all blocks to choose it, and those below to predict.

    Raises:
        BackboneError: the backbone is not found.
    """
    base, lengths_N = model.removesuffix(RANDOM_SUFFIX), token_lengths(model, task, config.max_length)
    account = account_of(base, context=max(1, round(float(lengths_N.mean()))))
    bytes_a_weight = 4 if machine.measured else 2
    a_token, rate = account.flops_per_token(), FORWARD_SHARE * machine.rate
    if route in TRAINED:
        n = len(task.train)
        hardware = Hardware("cpu" if machine.measured else "cuda", bytes_a_weight)
        parts = (lengths_N[:n], lengths_N[n:])
        forecast = forecast_route(base, route, config, task.n_classes, *parts, machine.rate, hardware=hardware)
        flops, seconds, read = forecast.train_flops + forecast.evaluate_flops, forecast.seconds, float(lengths_N.mean())
        trainable, memory = forecast.trainable, forecast.least_memory_bytes
    else:
        read = float(lengths_N.mean()) + (_PROMPT_TOKENS + _LABEL_TOKENS * task.n_classes) * (route == "prompt")
        texts = len(lengths_N) if route == "probe" else len(task.test)
        flops = texts * read * a_token
        seconds, memory = flops / rate, bytes_a_weight * account.parameters
        trainable = account.width * task.n_classes if route == "probe" else 0
    many = MILLION * read * account.flops_per_token(layer)
    return Cost(
        flops=flops,
        seconds=seconds,
        money=machine.money(seconds),
        trainable=trainable,
        storage_bytes=4 * trainable,
        million_flops=many,
        million_seconds=many / rate,
        million_money=machine.money(many / rate),
        memory_bytes=memory,
    )
