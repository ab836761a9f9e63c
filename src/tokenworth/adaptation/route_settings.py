"""Settings of a route: what is wished, and what is run.

What is not given is the protocol of the two papers, but for five settings: steps, lr, selection, patience and
validation_share follow the rule of `recommended_settings`, or with `protocol` the papers too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tokenworth.adaptation.label_words import PAIRS, word_pairs
from tokenworth.adaptation.long_text_settings import check_long
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.tuning_settings import TUNING_DEFAULTS, TuningSettings
from tokenworth.assessment.assessment_settings import poolings
from tokenworth.endpoints.endpoint_settings import DEFAULTS
from tokenworth.errors import SettingError
from tokenworth.settings import (
    ByComma,
    Called,
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
    with_changes,
)  # fmt: skip

TRAINED = ("lora", "full", "contrastive", "scratch")
"""The routes that run the training loop."""
Tracker = Literal["tensorboard", "wandb"]
Selection = Literal["last", "best", "lowest_loss"]


def _metrics() -> tuple[str, ...]:
    from tokenworth.probes.label_set_metrics import ONLY_LABEL_SETS
    from tokenworth.probes.probability_metrics import METRICS

    return (*METRICS, *ONLY_LABEL_SETS)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptConfig(TuningSettings):
    """Everything about a route but the model, the task and the seed."""

    # Training
    protocol: bool = False
    """Run the papers' protocol where nothing else is given: 10,000 steps at 1e-4, the last of which is kept."""
    steps: Count | None = None
    """Optimiser steps; by default by the rule: passes over the texts, 200 to 10,000."""
    batch: Count = 8
    """Texts of a step, over all processes."""
    lr: Positive | None = None
    """Highest learning rate; by default by the rule, from the route and the width of the model."""
    warmup_share: Fraction = 0.05
    """Share of the steps in which the rate rises linearly from 0; afterwards it falls to 0 along a cosine."""
    weight_decay: NonNegative = 1e-5
    """Each step shrinks the weights by this share times its learning rate."""
    clip_threshold: Positive = 1.0
    """Adafactor's limit on the root mean square of an update."""
    clip_norm: Positive = 1.0
    """Limit on the norm of the gradient."""
    micro_batch: Count | None = None
    """Texts of one forward and backward pass; by default the batch, halved where memory runs out."""
    packing: bool = True
    """Put the texts of a batch behind each other without padding, where the model keeps them apart."""

    # Model and head
    pooling: Annotated[str, OneOf(poolings)] = "auto"
    """What the head reads: last+mean (twice the width), mean, last or cls; auto: last+mean of the last layer for routes
    that train the backbone, for the probe what is best by cross-fitted error."""
    states: Literal["normalised", "raw"] = "normalised"
    """What a probe reads: each token's state divided by its root mean square, or raw."""
    dropout: Fraction = 0.05
    """Share of the numbers before the head that are set to 0 in training."""
    head_bias: bool = True
    """Whether the head has an intercept; plain sequence-classification checkpoints have none."""
    max_length: Count | None = None
    """Tokens kept of a text; by default what the model reads."""
    long: Literal["first", "last", "ends", "chunks", "choose"] = "first"
    """What is read of a text that is longer: its first tokens, its last, both ends, half of each, or all of it in even
    chunks of that length, of which the mean counts; choose: what is best on a validation part."""
    prefix: str = ""
    """Put before every text, for encoders that were trained with one, such as 'query: '."""
    dtype: str = "auto"
    """Number format of the weights: auto, float32 or bfloat16."""
    quantise: Literal[4, 8] | None = None
    """Bits of frozen base weights under LoRA (bitsandbytes)."""
    tokenizer: Literal["pretrained", "retrained"] = "pretrained"
    """For scratch: the backbone's tokenizer, or one of its kind and size trained on the training texts."""

    # LoRA
    rank: Count = 32
    """Rank of LoRA's update of a map."""
    alpha: Positive | None = None
    """LoRA's update is scaled by alpha / rank; by default alpha is the rank, so that it is not scaled."""
    lora_dropout: Fraction = 0.05
    """Share of the numbers before LoRA's maps that are set to 0 in training."""
    targets: Annotated[tuple[str, ...], ByComma()] = ("auto",)
    """Linear maps that carry LoRA, by their names: q_proj,v_proj; auto: those of the papers for their backbones, else
    all that can carry it."""
    peft: Annotated[dict[str, Any], Finite()] = field(default_factory=dict)
    """Further fields of peft's LoraConfig, such as use_dora or use_rslora, or of the configuration of the tuning."""

    # Prompt
    shots: Natural = 0
    """Labelled examples in a prompt."""
    examples: Literal["balanced", "nearest"] = "balanced"
    """balanced: the same before every text, as many of each class; nearest: training texts most like the text."""
    template: str | None = None
    """Prompt with {text}, and where texts may have several labels with {label}; by default the task's own, or a generic
    one."""
    chat: bool = True
    """Put texts, and examples with their classes, as turns of a conversation where the model has a chat template."""
    system: str | None = None
    """What the model is told before all; by default, in a conversation, the task and the classes; '' leaves it out."""
    label_words: Annotated[dict[str, Any] | str | None, Called(PAIRS)] = None
    """Words that stand for classes, by class name: ham=normal,spam=spam; by default the task's own, or the names."""
    label_likelihood: Literal["mean", "sum"] = "mean"
    """Whether a class scores the mean or the sum of the log-likelihoods of its tokens."""
    contextual: bool = False
    """Divide by the probabilities that texts without content get (Zhao et al. 2021)."""
    label_shares: bool = False
    """Shift the classes until over training texts each is as likely as it is frequent (Zhou et al. 2024)."""

    # Data, selection, evaluation
    train_size: Count | None = None
    """Training texts, drawn by class; by default all."""
    class_weights: Literal["none", "balanced"] = "none"
    """none, or balanced: every class weighs the same in the loss, however many texts it has."""
    selection: Selection | None = None
    """Which step is kept: the last, as published, the best by the metric, or the one of lowest loss, both on a
    validation part cut from train; by default the last, or lowest_loss with patience."""
    eval_steps: Count | None = None
    """Steps between evaluations on the validation part; by default a tenth of all."""
    patience: Count | None = None
    """Evaluations in a row without a better one after which training ends; by default it does not end early."""
    validation_share: Fraction | None = None
    """Share of train cut off where a validation part is needed; by default a tenth, at most 1,000 texts by the rule."""
    calibrate: bool = False
    """Fit a temperature on the validation part."""
    thresholds: Literal["chosen", "half"] | None = None
    """Where texts may have several labels, from which probability on one is predicted: chosen on the validation part by
    F1, or half; by default chosen."""
    tune: Natural = 0
    """Trials of a search over learning rate, rank and steps on the validation part; 0: none, as published."""
    metric: Annotated[str, OneOf(_metrics)] = "weighted_f1"
    """What selection and tuning go by, and what is named first."""
    mislabelled: bool = True
    """Look for training texts whose label is probably wrong and, with a probe, for those that harm; both are listed in
    the result."""
    keep_training: bool = False
    """Keep training texts, labels and features beside a probe: predict --why names them (4 bytes a number)."""
    diagnose: bool = False
    """Assess the adapted model and compare its weights with those it started from."""

    shard: bool = False
    """Under torchrun: spread weights, gradients and optimiser over the processes (FSDP), not a replica each."""

    # Keeping and telling
    checkpoint_seconds: NonNegative = 60.0
    """Seconds between checkpoints; 0 writes one after every step."""
    track: Tracker | None = None
    """Also log to tensorboard or wandb (Weights & Biases)."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.template is not None and "{text}" not in self.template:
            raise SettingError(
                f"the template {quoted(self.template)} does not say where the text goes; put {{text}} in it"
            )
        if self.patience is not None and self.selection == "last":
            raise SettingError(
                "patience ends training by evaluations that selection last does not make; choose selection lowest_loss "
                "or best, or leave patience out"
            )
        if self.examples == "nearest" and not self.shots:
            raise SettingError(
                "examples: nearest looks for as many as shots says, and that is 0; set it, such as shots: 8"
            )
        if self.contextual and self.label_shares:
            raise SettingError("contextual and label_shares both shift the classes; choose one of them")
        check_long(self.long, prefix=self.prefix, diagnose=self.diagnose, shard=self.shard)
        self.check_tuning(quantise=self.quantise is not None, diagnose=self.diagnose)
        object.__setattr__(self, "label_words", self.words_of_classes or None)  # a mapping, however it was given

    @property
    def words_of_classes(self) -> dict[str, str]:
        """Words by class name, where some are given."""
        return word_pairs(self.label_words or {})

    @property
    def head_pooling(self) -> str:
        """What the head of a trained route reads of the last layer."""
        return "last+mean" if self.pooling == "auto" else self.pooling

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it; settings of `OFF` are not named where they are off."""
        named = {name: value for name, value in asdict(self).items() if name not in OFF or value != OFF[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


OFF = {**DEFAULTS, **TUNING_DEFAULTS, "keep_training": False, "thresholds": None, "long": "first"}
"""Settings of an endpoint, of tunings beside LoRA, of several labels, of long texts and of what a probe keeps, with
what they are where they are off."""

Configuration = AdaptConfig | dict[str, Any] | str | Path | None
"""Settings of routes, a mapping of those that are given, or a YAML file of them."""


_DATA = frozenset(
    {"train_size", "class_weights", "calibrate", "validation_share", "metric", "mislabelled", "tune", "selection"}
    | {"thresholds"}
)
_TEXTS = _DATA | {"max_length", "prefix", "dtype"}
_LORA = frozenset({"rank", "alpha", "lora_dropout", "targets", "peft", "quantise"} | set(TUNING_DEFAULTS))
_PROMPT = frozenset(
    {"shots", "examples", "template", "chat", "system", "label_words", "label_likelihood", "contextual", "label_shares"}
)


def relevant_settings(route: str) -> frozenset[str]:
    """Names of the settings that can change what a route finds; two runs that differ in others are the same run."""
    every = frozenset(setting.name for setting in fields(AdaptConfig)) - {
        "checkpoint_seconds",
        "track",
        "shard",
        "keep_training",
    }
    trained = every - _PROMPT - set(DEFAULTS) - {"tokenizer", "states"} - _LORA
    known = {
        "bow": _DATA,
        "prompt": _TEXTS | _PROMPT | set(DEFAULTS),
        "probe": _TEXTS | {"pooling", "states", "long"},
        "lora": trained | _LORA,
        "full": trained,
        "contrastive": trained - {"dropout"},
        "scratch": trained | {"tokenizer"},
    }
    own = ROUTES[route].settings
    return known[route] if own is None else own


def make_config(config: Configuration = None, **changes: Any) -> AdaptConfig:
    """Settings from a run file, a mapping or settings, and changes to them (those that are None change nothing).

    Raises:
        SettingError: an unknown key (with the nearest known one), a value of the wrong kind or out of range.
    """
    values: Any = {} if config is None else config
    if isinstance(config, str | Path):
        values = read_settings(config)
    elif isinstance(config, AdaptConfig):
        values = {setting.name: getattr(config, setting.name) for setting in fields(AdaptConfig)}
    wished = {name: value for name, value in changes.items() if value is not None}
    return make(AdaptConfig, with_changes(values, wished), "the routes have")
