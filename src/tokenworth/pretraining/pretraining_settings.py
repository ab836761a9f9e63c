"""Settings of a pretraining run: one YAML file, sections of frozen values, every mistake one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tokenworth.errors import SettingError
from tokenworth.settings import (
    Bounds,
    Count,
    Fraction,
    NonNegative,
    Positive,
    Seed,
    Settings,
    Share,
    build,
    check_fields,
    read_settings,
    refusal,
    with_changes,
)
from tokenworth.tokenizers.source_settings import EXAMPLE, SourceConfig, placed, read_sources, section
from tokenworth.tokenizers.tokenizer import TokenizerConfig

_Size = Annotated[int, Bounds(least=1, most=2**20)]
"""Size of a part of a decoder: its square still fits into a whole number, and no decoder comes near."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Settings):
    """The decoder; the defaults are today's parts."""

    layers: Annotated[int, Bounds(least=1, most=10_000)] = 6
    """Blocks of the decoder."""
    width: _Size = 384
    """Numbers of a state."""
    heads: _Size = 6
    """Attention heads of a block; they share the width evenly."""
    kv_heads: _Size | None = None
    """Heads of keys and values; None: as many as heads (MHA); 1: MQA; between: GQA."""
    inner_width: _Size | None = None
    """Width of the feed-forward network inside; None: 8/3 of the width, rounded up to a multiple of 32."""
    experts: Annotated[int, Bounds(least=0, most=100_000)] = 0
    """Experts of a block; 0: one feed-forward network."""
    experts_per_token: Count = 2
    """Experts that take part for one token."""
    balance: NonNegative = 0.01
    """Weight of the loss that spreads tokens over experts."""
    normalisation: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    """What scales states: by their root mean square, or to mean 0 and variance 1."""
    norm_place: Literal["pre", "post"] = "pre"
    """Before each part of a block, or behind it."""
    feed_forward: Literal["swiglu", "gelu"] = "swiglu"
    """Kind of the feed-forward network: gated, or with two matrices."""
    bias: bool = False
    """Whether linear maps add a bias."""
    positions: Literal["rope", "learned"] = "rope"
    """How places are told apart: rotary positions, or a table that is learnt."""
    rope_base: Positive = 10_000.0
    """Base of the rotary positions' angles."""
    tied: bool = True
    """One matrix for embedding and head."""
    init_std: NonNegative | None = None
    """Deviation of the first weights; None: width^-1/2, which keeps the scale of what passes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Settings):
    """The training loop."""

    tokens: Count = 10_000_000
    """Tokens to learn from, rounded down to whole steps."""
    context: Annotated[int, Bounds(least=1, most=2**30)] = 256
    """Tokens of a sequence."""
    batch: Annotated[int, Bounds(least=1, most=2**30)] = 32
    """Sequences of a step, over all processes."""
    micro_batch: Count | None = None
    """Sequences of one forward and backward pass; None takes the batch and halves it where memory runs out."""
    lr: Positive = 1e-3
    """Highest learning rate."""
    schedule: Literal["cosine", "wsd"] = "cosine"
    """After the warm-up: a cosine down to the end, or stable and then a linear decay (warm-up-stable-decay)."""
    warmup_share: Share = 0.02
    """Share of the steps in which the rate rises from 0."""
    decay_share: Share = 0.2
    """Share of the steps in which wsd falls."""
    final_share: Share = 0.1
    """The last rate, as a share of the highest."""
    annealing_share: Share = 0.0
    """Share of the tokens at the end that are drawn by the sources' annealing weights."""
    weight_decay: NonNegative = 0.1
    """Decay of the weights, decoupled, on matrices alone."""
    beta1: Fraction = 0.9
    """Decay a step of AdamW's mean of the gradients."""
    beta2: Fraction = 0.95
    """Decay a step of AdamW's mean of their squares."""
    clip_norm: Positive = 1.0
    """Norm to which the gradient is scaled down."""
    cross_documents: bool = False
    """Whether a token may attend to the documents before its own in the sequence."""
    dtype: str = "auto"
    """Number format of the products; weights and optimiser stay float32."""
    activation_checkpointing: bool = False
    """Compute activations anew in the backward pass: less memory, more time."""
    compile: bool = False
    """Compile the model with torch.compile."""
    shard: bool = False
    """Under torchrun: weights, gradients and optimiser spread over the processes (FSDP2), not a replica each."""
    ring: bool = False
    """Under torchrun: every sequence spread over the processes (ring attention), not the batch."""
    device: str = "auto"
    """Where the run computes: auto, cpu, cuda, or one card as cuda:0."""
    checkpoint_seconds: NonNegative = 120.0
    """Seconds between checkpoints to go on from; 0 writes one after every step."""
    held_out_share: Share = 0.01
    """Share of every source's documents that nothing is learnt from."""
    held_out_tokens: Count = 50_000
    """Most tokens a source is evaluated on."""
    trace_per_decade: Annotated[int, Bounds(least=0, most=1000)] = 4
    """Checkpoints for the trace: tokens per factor of ten, evenly in logarithm; 0 keeps the last alone."""
    trace_from: Count = 100_000
    """Tokens of the first checkpoint for the trace, beside the one at 0."""
    track: Literal["tensorboard", "wandb"] | None = None
    """Where loss curves go beside metrics.jsonl."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.steps < 1:
            raise SettingError(
                f"{self.tokens:,} tokens are less than one step of {self.batch} sequences of {self.context} tokens "
                f"({self.step_tokens:,}); raise tokens, or lower batch or context"
            )
        if self.ring and self.shard:
            raise SettingError("ring spreads sequences and shard weights; choose one of the two")

    @property
    def step_tokens(self) -> int:
        """Tokens of a step."""
        return self.batch * self.context

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.tokens // self.step_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig(Settings):
    """Everything about a run."""

    sources: Mapping[str, SourceConfig]
    """Documents to learn from, by name."""
    held_out: Mapping[str, SourceConfig] = field(default_factory=dict)
    """Documents that are evaluated on and never learnt from, beside the held-out part of every source."""
    tokenizer: TokenizerConfig | str = field(default_factory=TokenizerConfig)
    """Settings of one to train on the sources, or the folder of one."""
    model: ModelConfig | str = field(default_factory=ModelConfig)
    """The decoder's parts, or the folder of a checkpoint to go on from (with its tokenizer)."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """The training loop."""
    shards: str | None = None
    """Folder of tokenizer and token shards that several runs share; None: the run's own."""
    prompts: tuple[str, ...] = ("The", "In the year")
    """Beginnings for which the report shows what the model writes."""
    seed: Seed = 0
    """Seed of first weights, mixture, held-out documents and samples."""

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it; a source whose rows are all taken says nothing of them."""
        plain = asdict(self) | {"prompts": list(self.prompts)}
        for source in (*plain["sources"].values(), *plain["held_out"].values()):
            if source["source"] is None:
                del source["source"]
        return plain


def read_config(path: str | Path, **changes: Any) -> PretrainConfig:
    """The settings of a YAML file; paths in it are relative to it.

    Args:
        path: the file.
        changes: fields of `training`, or `seed`, that go before the file; those that are None change nothing.

    Raises:
        SettingError: it cannot be read, has an unknown key, or a value does not fit.
    """
    values = read_settings(path, example=EXAMPLE)
    return make_config(values, home=Path(path).resolve().parent, place=path, **changes)


def make_config(
    values: Mapping[str, Any], *, home: Path | None = None, place: object = "", **changes: Any
) -> PretrainConfig:
    """The settings of a mapping; see `read_config`."""
    home = home or Path.cwd()
    mistakes: list[str] = []
    stated = {name: value for name, value in changes.items() if value is not None}
    parts: dict[str, Any] = {}
    if isinstance(values, Mapping):
        values = with_changes(values, {"seed": stated.pop("seed")} if "seed" in stated else {})
        values = with_changes(values, {"training": with_changes(section(values, "training"), stated)} if stated else {})
        values = with_changes(values, {"prompts": ()} if values.get("prompts", ()) is None else {})
        parts = {name: read_sources(values, name, home, mistakes) for name in ("sources", "held_out")}
        mistakes += _source_mistakes(values, **parts)
    config, more = build(PretrainConfig, values, "a pretraining run has", **parts)
    mistakes += more
    if config is None or mistakes:
        raise refusal(place, mistakes)
    return replace(
        config,
        tokenizer=placed(config.tokenizer, home) if isinstance(config.tokenizer, str) else config.tokenizer,
        model=placed(config.model, home) if isinstance(config.model, str) else config.model,
        shards=str(home / config.shards) if config.shards else None,
    )


def _source_mistakes(values: Mapping[str, Any], sources: Mapping[str, Any], held_out: Mapping[str, Any]) -> list[str]:
    twice = [
        f"{name!r} is a source and held out; give the two different names" for name in sorted({*sources} & {*held_out})
    ]
    if not values.get("sources"):
        return [f"a pretraining run needs sources; write '{EXAMPLE}'", *twice]
    if sources and not sum(source.weight for source in sources.values()) > 0:
        return ["the weights of the sources add up to 0; give one of them a weight above 0", *twice]
    return twice
