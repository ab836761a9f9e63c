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
    Share,
    build,
    build_each,
    check_fields,
    exists,
    quoted,
    read_settings,
    refusal,
    with_changes,
)  # fmt: skip
from tokenworth.tokenizers.tokenizer import TokenizerConfig

_EXAMPLE = "sources: {wiki: wiki.parquet}"
_Size = Annotated[int, Bounds(least=1, most=2**20)]
"""Of a part of a decoder: its square still fits into a whole number, and no decoder comes near."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """Documents of one kind."""

    path: str
    """A .txt, .csv, .tsv, .jsonl, .parquet or .arrow file (text also as .gz or .zst), a folder of such files or of
    `save_to_disk`, a pattern with *, or a Hugging Face dataset id."""
    source: str | None = None
    """Of .parquet files only the rows whose column `source` says this, as those of a corpus do."""
    weight: NonNegative = 1.0
    """Share of the training sequences, against the weights of the other sources."""
    annealing_weight: NonNegative | None = None
    """The same in the annealing phase; None: as before."""
    text: str | None = None
    """Column of the text, where it is not found by its name."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The decoder; the defaults are today's parts."""

    layers: Annotated[int, Bounds(least=1, most=10_000)] = 6
    width: _Size = 384
    heads: _Size = 6
    kv_heads: _Size | None = None
    """None: as many as heads (MHA); 1: MQA; between: GQA."""
    inner_width: _Size | None = None
    """Of the feed-forward network; None: 8/3 of the width, rounded up to a multiple of 32."""
    experts: Annotated[int, Bounds(least=0, most=100_000)] = 0
    experts_per_token: Count = 2
    balance: NonNegative = 0.01
    """Weight of the loss that spreads tokens over experts."""
    normalisation: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norm_place: Literal["pre", "post"] = "pre"
    feed_forward: Literal["swiglu", "gelu"] = "swiglu"
    bias: bool = False
    positions: Literal["rope", "learned"] = "rope"
    rope_base: Positive = 10_000.0
    tied: bool = True
    """One matrix for embedding and head."""
    init_std: NonNegative | None = None
    """Deviation of the first weights; None: width^-1/2, which keeps the scale of what passes."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
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
    schedule: Literal["cosine", "wsd"] = "cosine"
    """After the warm-up: a cosine down to the end, or stable and then a linear decay (warm-up-stable-decay)."""
    warmup_share: Share = 0.02
    decay_share: Share = 0.2
    """Share of the steps in which wsd falls."""
    final_share: Share = 0.1
    """The last rate, as a share of the highest."""
    annealing_share: Share = 0.0
    """Share of the tokens at the end that are drawn by the sources' annealing weights."""
    weight_decay: NonNegative = 0.1
    """Decoupled, on matrices alone."""
    beta1: Fraction = 0.9
    beta2: Fraction = 0.95
    clip_norm: Positive = 1.0
    cross_documents: bool = False
    """Whether a token may attend to the documents before its own in the sequence."""
    dtype: str = "auto"
    """Of the products; weights and optimiser stay float32."""
    activation_checkpointing: bool = False
    compile: bool = False
    shard: bool = False
    """Under torchrun: weights, gradients and optimiser spread over the processes (FSDP2), not a replica each."""
    ring: bool = False
    """Under torchrun: every sequence spread over the processes (ring attention), not the batch."""
    device: str = "auto"
    checkpoint_seconds: NonNegative = 120.0
    """Time between checkpoints to go on from; 0 writes one after every step."""
    held_out_share: Share = 0.01
    """Share of every source's documents that nothing is learnt from."""
    held_out_tokens: Count = 50_000
    """Most tokens a source is evaluated on."""
    trace_per_decade: Annotated[int, Bounds(least=0, most=1000)] = 4
    """Checkpoints for the trace: tokens per factor of ten, evenly in logarithm; 0 keeps the last alone."""
    trace_from: Count = 100_000
    """Tokens of the first of them, beside the one at 0."""
    track: Literal["tensorboard", "wandb"] | None = None

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
class PretrainConfig:
    """Everything about a run."""

    sources: Mapping[str, SourceConfig]
    held_out: Mapping[str, SourceConfig] = field(default_factory=dict)
    """Documents that are evaluated on and never learnt from, beside the held-out part of every source."""
    tokenizer: TokenizerConfig | str = field(default_factory=TokenizerConfig)
    """Settings of one to train on the sources, or the folder of one."""
    model: ModelConfig | str = field(default_factory=ModelConfig)
    """The decoder's parts, or the folder of a checkpoint to go on from (with its tokenizer)."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    shards: str | None = None
    """Folder of tokenizer and token shards that several runs share; None: the run's own."""
    prompts: tuple[str, ...] = ("The", "In the year")
    """Beginnings for which the report shows what the model writes."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it; a source whose rows are all taken says nothing of them."""
        found = asdict(self) | {"prompts": list(self.prompts)}
        for own in (*found["sources"].values(), *found["held_out"].values()):
            if own["source"] is None:
                del own["source"]
        return found


def read_config(path: str | Path, **changes: Any) -> PretrainConfig:
    """The settings of a YAML file; paths in it are relative to it.

    Args:
        path: the file.
        changes: fields of `training`, or `seed`, that go before the file; those that are None change nothing.

    Raises:
        SettingError: it cannot be read, has an unknown key, or a value does not fit.
    """
    values = read_settings(path, example=_EXAMPLE)
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
        values = with_changes(
            values, {"training": with_changes(_section(values, "training"), stated)} if stated else {}
        )
        values = with_changes(values, {"prompts": ()} if values.get("prompts", ()) is None else {})
        parts = {name: _sources(values, name, home, mistakes) for name in ("sources", "held_out")}
        mistakes += _source_mistakes(values, **parts)
    config = build(PretrainConfig, values, "a pretraining run has", mistakes, **parts)
    if config is None or mistakes:
        raise refusal(place, mistakes)
    return replace(
        config,
        tokenizer=_placed(config.tokenizer, home) if isinstance(config.tokenizer, str) else config.tokenizer,
        model=_placed(config.model, home) if isinstance(config.model, str) else config.model,
        shards=str(home / config.shards) if config.shards else None,
    )


def _section(values: Mapping[str, Any], name: str) -> Any:
    """An empty one is none; what is not one is left to the checker."""
    return {} if values.get(name) is None else values[name]


def _source_mistakes(values: Mapping[str, Any], sources: Mapping[str, Any], held_out: Mapping[str, Any]) -> list[str]:
    twice = [
        f"{name!r} is a source and held out; give the two different names" for name in sorted({*sources} & {*held_out})
    ]
    if not values.get("sources"):
        return [f"a pretraining run needs sources; write '{_EXAMPLE}'", *twice]
    if sources and not sum(source.weight for source in sources.values()) > 0:
        return ["the weights of the sources add up to 0; give one of them a weight above 0", *twice]
    return twice


def make_sources(values: Mapping[str, Any], section: str, home: Path, place: object = "") -> dict[str, SourceConfig]:
    """Sources of a section by name, each a path or settings of its own; paths relative to a folder.

    Raises:
        SettingError: an unknown key, a source without a path, or a value that does not fit.
    """
    mistakes: list[str] = []
    sources = _sources(values, section, home, mistakes)
    if mistakes:
        raise refusal(place, mistakes)
    return sources


def _sources(values: Mapping[str, Any], section: str, home: Path, mistakes: list[str]) -> dict[str, SourceConfig]:
    entries = _section(values, section)
    if not isinstance(entries, Mapping):
        mistakes.append(f"{section} takes lines of its own, not {quoted(entries)}; write '{_EXAMPLE}'")
        return {}
    named = {}
    for name, own in entries.items():
        path = own.get("path") if isinstance(own, Mapping) else own
        if isinstance(path, str) and path:
            named[name] = own
        else:
            mistakes.append(f"the source {name} names no path; write '{name}: {{path: file.parquet}}'")
    sources = build_each(SourceConfig, named, "the source", mistakes)
    return {name: replace(source, path=_placed(source.path, home)) for name, source in sources.items()}


def _placed(path: str, home: Path) -> str:
    """Relative to the file that names it, if there is such a thing; else as it is: a hub id looks like a path."""
    return str(home / path) if "*" in path or exists(home / path) else path
