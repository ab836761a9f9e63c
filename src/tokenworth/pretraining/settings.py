"""Settings of a pretraining run: one YAML file, sections of frozen values, every mistake one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tokenworth.errors import SettingError
from tokenworth.pretraining.tokenizer import TokenizerConfig
from tokenworth.training.reading import checked, read_run_file

_EXAMPLE = "write 'sources: {wiki: wiki.parquet}'"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """Documents of one kind."""

    path: str
    """A .txt, .csv, .tsv, .jsonl, .parquet or .arrow file (text also as .gz or .zst), a folder of such files or of
    `save_to_disk`, a pattern with *, or a Hugging Face dataset id."""
    source: str | None = None
    """Of .parquet files only the rows whose column `source` says this, as those of a corpus do."""
    weight: float = 1.0
    """Share of the training sequences, against the weights of the other sources."""
    annealing_weight: float | None = None
    """The same in the annealing phase; None: as before."""
    text: str | None = None
    """Column of the text, where it is not found by its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The decoder; the defaults are today's parts."""

    layers: int = 6
    width: int = 384
    heads: int = 6
    kv_heads: int | None = None
    """None: as many as heads (MHA); 1: MQA; between: GQA."""
    inner_width: int | None = None
    """Of the feed-forward network; None: 8/3 of the width, rounded up to a multiple of 32."""
    experts: int = 0
    experts_per_token: int = 2
    balance: float = 0.01
    """Weight of the loss that spreads tokens over experts."""
    normalisation: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norm_place: Literal["pre", "post"] = "pre"
    feed_forward: Literal["swiglu", "gelu"] = "swiglu"
    bias: bool = False
    positions: Literal["rope", "learned"] = "rope"
    rope_base: float = 10_000.0
    tied: bool = True
    """One matrix for embedding and head."""
    init_std: float | None = None
    """Deviation of the first weights; None: width^-1/2, which keeps the scale of what passes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """The training loop."""

    tokens: int = 10_000_000
    """Tokens to learn from, rounded down to whole steps."""
    context: int = 256
    """Tokens of a sequence."""
    batch: int = 32
    """Sequences of a step, over all processes."""
    micro_batch: int | None = None
    """Sequences of one forward and backward pass; None takes the batch and halves it where memory runs out."""
    lr: float = 1e-3
    schedule: Literal["cosine", "wsd"] = "cosine"
    """After the warm-up: a cosine down to the end, or stable and then a linear decay (warm-up-stable-decay)."""
    warmup_share: float = 0.02
    decay_share: float = 0.2
    """Share of the steps in which wsd falls."""
    final_share: float = 0.1
    """The last rate, as a share of the highest."""
    annealing_share: float = 0.0
    """Share of the tokens at the end that are drawn by the sources' annealing weights."""
    weight_decay: float = 0.1
    """Decoupled, on matrices alone."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float = 1.0
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
    checkpoint_seconds: float = 120.0
    """Time between checkpoints to go on from; 0 writes one after every step."""
    held_out_share: float = 0.01
    """Share of every source's documents that nothing is learnt from."""
    held_out_tokens: int = 50_000
    """Most tokens a source is evaluated on."""
    trace_per_decade: int = 4
    """Checkpoints for the trace: tokens per factor of ten, evenly in logarithm; 0 keeps the last alone."""
    trace_from: int = 100_000
    """Tokens of the first of them, beside the one at 0."""
    track: Literal["tensorboard", "wandb"] | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "context", "batch", "held_out_tokens", "trace_from"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("warmup_share", "decay_share", "final_share", "annealing_share", "held_out_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} is a share in [0, 1], not {getattr(self, name)}")
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
    seed: int = 0

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
    return make_config(read_run_file(path), home=Path(path).resolve().parent, **changes)


def make_config(values: Mapping[str, Any], *, home: Path | None = None, **changes: Any) -> PretrainConfig:
    """The settings of a mapping; see `read_config`."""
    given = {name: value for name, value in changes.items() if value is not None}
    seed = given.pop("seed", values.get("seed", 0))
    top = _top(values, home or Path.cwd())
    training = TrainingConfig(**checked({**_section(values, "training"), **given}, TrainingConfig, "training has"))
    return PretrainConfig(**top, training=training, seed=int(seed))


def _top(values: Mapping[str, Any], home: Path) -> dict[str, Any]:
    known = [one.name for one in fields(PretrainConfig)]
    for name in values:
        if name not in known:
            checked({name: None}, PretrainConfig, "a pretraining run has")
    sources = make_sources(values, "sources", home)
    if not sources:
        raise SettingError(f"a pretraining run needs sources; {_EXAMPLE}")
    if not sum(one.weight for one in sources.values()) > 0:
        raise SettingError("the weights of the sources add up to 0; give one of them a weight above 0")
    found: dict[str, Any] = {"sources": sources}
    found["held_out"] = make_sources(values, "held_out", home)
    if both := sorted(set(sources) & set(found["held_out"])):
        raise SettingError(f"{both[0]!r} is a source and held out; give the two different names")
    found["tokenizer"] = _folder_or(values, "tokenizer", TokenizerConfig, "a tokenizer has", home)
    found["model"] = _folder_or(values, "model", ModelConfig, "a model has", home)
    if values.get("shards"):
        found["shards"] = str(home / str(values["shards"]))
    if "prompts" in values:
        found["prompts"] = tuple(map(str, values["prompts"] or ()))
    return found


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, Mapping):
        raise SettingError(f"{name} takes lines of its own, not {found!r}" + (f"; {_EXAMPLE}" * (name == "sources")))
    return found


def make_sources(values: Mapping[str, Any], section: str, home: Path) -> dict[str, SourceConfig]:
    """Sources of a section by name, each a path or settings of its own; paths relative to a folder.

    Raises:
        SettingError: an unknown key, a source without a path, or a value that does not fit.
    """
    return {str(name): _source(str(name), one, home) for name, one in _section(values, section).items()}


def _source(name: str, given: Any, home: Path) -> SourceConfig:
    values = given if isinstance(given, Mapping) else {"path": given}
    if not isinstance(values.get("path"), str):
        raise SettingError(f"the source {name} names no path; write '{name}: {{path: file.parquet}}'")
    source = SourceConfig(**checked(values, SourceConfig, f"the source {name} has"))
    if source.weight < 0 or (source.annealing_weight or 0) < 0:
        raise SettingError(f"the source {name} has a weight below 0; take 0 to leave it out")
    return SourceConfig(**{**asdict(source), "path": _placed(source.path, home)})


def _folder_or(values: Mapping[str, Any], name: str, kind: type, owner: str, home: Path) -> Any:
    given = values.get(name)
    return _placed(given, home) if isinstance(given, str) else kind(**checked(_section(values, name), kind, owner))


def _placed(path: str, home: Path) -> str:
    """Relative to the file that names it, if there is such a thing; else as it is: a hub id looks like a path."""
    return str(home / path) if (home / path).exists() or "*" in path else path
