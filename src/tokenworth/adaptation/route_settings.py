"""Settings of a route.  The defaults are the protocol of the two papers; whatever differs is saved with the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tokenworth.encode import POOLINGS
from tokenworth.errors import SettingError
from tokenworth.probes.probability_metrics import METRICS
from tokenworth.settings import (
    ByComma,
    Count,
    Finite,
    Fraction,
    Natural,
    NonNegative,
    OneOf,
    Positive,
    check_fields,
    make,
    quoted,
    read_settings,
    settings_for,
    with_changes,
)  # fmt: skip

ROUTES = ("bow", "prompt", "probe", "lora", "full", "scratch")
TRAINED = ("lora", "full", "scratch")
"""The routes that run the training loop."""

Tracker = Literal["tensorboard", "wandb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptConfig:
    """Everything about a route but the model, the task and the seed."""

    # Training
    steps: Count = 10_000
    """Optimiser steps."""
    batch: Count = 8
    """Texts of a step, over all processes."""
    lr: Positive = 1e-4
    """Highest learning rate."""
    warmup_share: Fraction = 0.05
    """Share of the steps in which the rate rises linearly from 0; afterwards it falls to 0 along a cosine."""
    weight_decay: NonNegative = 1e-5
    clip_threshold: Positive = 1.0
    """Adafactor's limit on the root mean square of an update."""
    clip_norm: Positive = 1.0
    """Limit on the norm of the gradient."""
    micro_batch: Count | None = None
    """Texts of one forward and backward pass; None takes the batch and halves it where memory runs out."""
    packing: bool = True
    """Put the texts of a batch behind each other without padding, where the model keeps them apart."""

    # Model and head
    pooling: Annotated[str, OneOf(POOLINGS)] = "last+mean"
    """What the head reads of the last layer: last+mean (2 D numbers), mean, last or cls."""
    dropout: Fraction = 0.05
    """Before the head."""
    head_bias: bool = True
    """Whether the head has an intercept; plain sequence-classification checkpoints have none."""
    max_length: Count | None = None
    """Tokens kept of a text; None keeps what the backbone can read."""
    prefix: str = ""
    """Put before every text, for encoders trained with one, such as "query: "."""
    dtype: str = "auto"
    quantise: Literal[4, 8] | None = None
    """Bits of frozen base weights under LoRA (bitsandbytes)."""
    tokenizer: Literal["pretrained", "retrained"] = "pretrained"
    """For scratch: the backbone's tokenizer, or one of its kind and size trained on the training texts."""

    # LoRA
    rank: Count = 32
    alpha: Positive | None = None
    """None takes the rank, so that the update is not scaled."""
    lora_dropout: Fraction = 0.05
    targets: Annotated[tuple[str, ...], ByComma()] = ("auto",)
    """Linear maps by their own names; auto: those of the papers for their backbones, else all that can carry it."""
    peft: Annotated[dict[str, Any], Finite()] = field(default_factory=dict)
    """Further fields of peft's LoraConfig, such as use_dora or use_rslora."""

    # Prompt
    shots: Natural = 0
    """Labelled examples in the prompt."""
    template: str | None = None
    """With {text}; None takes the task's own, or a generic one."""
    chat: bool = True
    """Put the prompt as a turn of a conversation where the model has a chat template."""
    contextual: bool = False
    """Divide by the probabilities that texts without content get (Zhao et al. 2021)."""

    # Data, selection, evaluation
    train_size: Count | None = None
    """Training texts, drawn by class; None takes all."""
    class_weights: Literal["none", "balanced"] = "none"
    selection: Literal["last", "best"] = "last"
    """Which step is kept: the last, as published, or the best on a validation part cut from train."""
    eval_steps: Count | None = None
    """Steps between evaluations on the validation part; None: a tenth of all."""
    validation_share: Fraction = 0.1
    """Share of train cut off where a validation part is needed."""
    calibrate: bool = False
    """Fit a temperature on the validation part."""
    tune: Natural = 0
    """Trials of a search over learning rate, rank and steps on the validation part; 0: none, as published."""
    metric: Annotated[str, OneOf(METRICS)] = "weighted_f1"
    """What selection and tuning go by, and what is named first."""
    mislabelled: bool = True
    """Look for training texts whose label is probably wrong."""
    diagnose: bool = False
    """Assess the adapted model and compare its weights with those it started from."""

    shard: bool = False
    """Under torchrun: spread weights, gradients and optimiser over the processes (FSDP), not a replica each."""

    # Keeping and telling
    checkpoint_seconds: NonNegative = 60.0
    """Time between checkpoints; 0 writes one after every step."""
    track: Tracker | None = None
    """Also log to TensorBoard or Weights & Biases."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.template is not None and "{text}" not in self.template:
            raise SettingError(
                f"the template {quoted(self.template)} does not say where the text goes; put {{text}} in it"
            )

    @property
    def needs_validation(self) -> bool:
        """Whether a validation part is cut from train."""
        return self.selection == "best" or self.calibrate or self.tune > 0

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


_DATA = frozenset(
    {"train_size", "class_weights", "calibrate", "validation_share", "metric", "mislabelled", "tune", "selection"}
)
_TEXTS = _DATA | {"max_length", "prefix", "dtype"}
_LORA = frozenset({"rank", "alpha", "lora_dropout", "targets", "peft", "quantise"})
_PROMPT = frozenset({"shots", "template", "contextual", "chat"})


def relevant_settings(route: str) -> frozenset[str]:
    """Names of the settings that can change what a route finds; two runs that differ in others are the same run."""
    every = frozenset(setting.name for setting in fields(AdaptConfig)) - {"checkpoint_seconds", "track", "shard"}
    trained = every - _PROMPT - {"tokenizer"} - _LORA
    return {
        "bow": _DATA,
        "prompt": _TEXTS | _PROMPT,
        "probe": _TEXTS | {"pooling"},
        "lora": trained | _LORA,
        "full": trained,
        "scratch": trained | {"tokenizer"},
    }[route]


def make_config(config: AdaptConfig | dict[str, Any] | str | Path | None = None, **changes: Any) -> AdaptConfig:
    """Settings from a run file, a mapping or settings, and changes to them (those that are None change nothing).

    Raises:
        SettingError: an unknown key (with the nearest known one), a value of the wrong kind or out of range.
    """
    given_changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(config, AdaptConfig):
        return replace(config, **settings_for(AdaptConfig, given_changes, "the routes have"))
    values = read_settings(config) if isinstance(config, str | Path) else {} if config is None else config
    return make(AdaptConfig, with_changes(values, given_changes), "the routes have")
