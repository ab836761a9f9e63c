"""Settings of a route.  The defaults are the protocol of the two papers; whatever differs is saved with the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from tokenworth.assessment.assessment_settings import Model, ProgressCall, poolings
from tokenworth.backbones.model_choice import ModelSource
from tokenworth.errors import SettingError
from tokenworth.settings import (
    ByComma,
    Count,
    Finite,
    Fraction,
    Natural,
    NonNegative,
    OneOf,
    OutFolder,
    Positive,
    Seed,
    check_fields,
    make,
    quoted,
    read_settings,
    with_changes,
)  # fmt: skip
from tokenworth.tasks import Task

ROUTES = ("bow", "prompt", "probe", "lora", "full", "scratch")
TRAINED = ("lora", "full", "scratch")
"""The routes that run the training loop."""

Tracker = Literal["tensorboard", "wandb"]


def _metrics() -> tuple[str, ...]:
    from tokenworth.probes.probability_metrics import METRICS

    return tuple(METRICS)


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
    pooling: Annotated[str, OneOf(poolings)] = "last+mean"
    """What the head reads of the last layer: last+mean (twice its width), mean, last or cls."""
    dropout: Fraction = 0.05
    """Share of the numbers before the head that are set to 0 in training."""
    head_bias: bool = True
    """Whether the head has an intercept; plain sequence-classification checkpoints have none."""
    max_length: Count | None = None
    """Tokens kept of a text; by default what the model reads."""
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
    """Further fields of peft's LoraConfig, such as use_dora or use_rslora."""

    # Prompt
    shots: Natural = 0
    """Labelled examples in a prompt."""
    template: str | None = None
    """Prompt with {text}; by default the task's own, or a generic one."""
    chat: bool = True
    """Put the prompt as a turn of a conversation where the model has a chat template."""
    contextual: bool = False
    """Divide by the probabilities that texts without content get (Zhao et al. 2021)."""

    # Data, selection, evaluation
    train_size: Count | None = None
    """Training texts, drawn by class; by default all."""
    class_weights: Literal["none", "balanced"] = "none"
    """none, or balanced: every class weighs the same in the loss, however many texts it has."""
    selection: Literal["last", "best"] = "last"
    """Which step is kept: the last, as published, or the best on a validation part cut from train."""
    eval_steps: Count | None = None
    """Steps between evaluations on the validation part; by default a tenth of all."""
    validation_share: Fraction = 0.1
    """Share of train cut off where a validation part is needed."""
    calibrate: bool = False
    """Fit a temperature on the validation part."""
    tune: Natural = 0
    """Trials of a search over learning rate, rank and steps on the validation part; 0: none, as published."""
    metric: Annotated[str, OneOf(_metrics)] = "weighted_f1"
    """What selection and tuning go by, and what is named first."""
    mislabelled: bool = True
    """Look for training texts whose label is probably wrong."""
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

    @property
    def needs_validation(self) -> bool:
        """Whether a validation part is cut from train."""
        return self.selection == "best" or self.calibrate or self.tune > 0

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


Configuration = AdaptConfig | dict[str, Any] | str | Path | None
"""Settings of routes, a mapping of those that differ from the protocol, or a YAML file of them."""


@dataclass(frozen=True, kw_only=True)
class AdaptCall(ModelSource):
    """What `adapt` takes."""

    model: Model | None = field(kw_only=False)
    """Folder, GGUF file, hub id or published name; none for bow; in Python also a Backbone, which is left as it is."""
    task: str | Task = field(kw_only=False)
    """A file (.csv, .tsv, .jsonl, .parquet), a folder of train and test files, a hub id, a published name, docstrings;
    in Python also a Task."""
    route: str = field(kw_only=False)
    """bow, prompt, probe, lora, full or scratch."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    seed: Seed = 0
    """Of samples, order, head, adapters, dropout and random weights."""
    config: Configuration = None
    """Settings, a mapping of those that differ from the protocol, or a YAML file of them."""
    out: OutFolder = None
    """Folder for result.json, predictions.parquet, the classifier and checkpoints; by default none are written."""
    cache: str | Path | bool = True
    """Folder where the features of the route probe are kept for reuse; by default TOKENWORTH_CACHE or ~/.cache."""
    progress: ProgressCall = None
    """Called as progress(what, done, total)."""


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


def make_config(config: Configuration = None, **changes: Any) -> AdaptConfig:
    """Settings from a run file, a mapping or settings, and changes to them (those that are None change nothing).

    Raises:
        SettingError: an unknown key (with the nearest known one), a value of the wrong kind or out of range.
    """
    values: Any = {} if config is None else config
    if isinstance(config, str | Path):
        values = read_settings(config)
    elif isinstance(config, AdaptConfig):
        values = config.asdict()
    wished = {name: value for name, value in changes.items() if value is not None}
    return make(AdaptConfig, with_changes(values, wished), "the routes have")
