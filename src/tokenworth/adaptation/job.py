"""What a route is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tokenworth.adaptation.predictor import Predictor, with_prefix
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.assessment.assessment_result import BackboneCard
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.aliases import Floats, Ints, Progress
from tokenworth.encode import Tokens, tokenise
from tokenworth.errors import SettingError
from tokenworth.tasks import Split, Task
from tokenworth.training.devices import Devices


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """One route on one task."""

    route: str
    model: str | Backbone | None
    task: Task
    train_rows: Ints
    """Of the task's training texts, those the route learns from."""
    validation_rows: Ints
    """Of the task's training texts, those cut off for selection, tuning or calibration; often none."""
    config: ResolvedConfig
    dtype: str
    """Number format of products: what ``config.dtype`` asks for, or what the run was begun in."""
    seed: int
    loading: dict[str, Any]
    """device, revision, allow_pickle, tokenizer."""
    devices: Devices
    folder: Path | None = None
    """Where checkpoints go; None keeps none."""
    cache: str | Path | bool = True
    progress: Progress | None = None
    by_rule: dict[str, str] = field(default_factory=dict)
    """Why, for each setting that the rule chose."""
    long_choice: dict[str, Any] = field(default_factory=dict)
    """What each way to read long texts had on the validation part, where one was chosen."""

    @property
    def n_classes(self) -> int:
        """C, classes absent from the training texts included."""
        return self.task.n_classes

    @property
    def train(self) -> Split:
        """What the route learns from."""
        return self.task.train.take(self.train_rows)

    @property
    def validation(self) -> Split | None:
        """The part cut off, if there is one."""
        return self.task.train.take(self.validation_rows) if len(self.validation_rows) else None

    def backbone(self, *, random: bool = False, dtype: str | None = None, lm_head: bool = False) -> Backbone:
        """The backbone this job names, loaded; one that was given is used as it is.

        Raises SettingError: the route needs a model and there is none.
        """
        if self.model is None:
            raise SettingError(f"the route {self.route} needs a backbone; name one with --model")
        if isinstance(self.model, Backbone):
            return self.model
        name = self.model.removesuffix(RANDOM_SUFFIX) + RANDOM_SUFFIX if random else self.model
        return load_backbone(name, **self.loading, dtype=dtype or self.dtype, seed=self.seed, lm_head=lm_head)

    def tokens(self, backbone: Backbone, texts: list[str]) -> Tokens:
        """Texts as the backbone gets them."""
        config = self.config
        texts = with_prefix(texts, config.prefix)
        return tokenise(backbone, texts, max_length=config.max_length, long=config.read_of_long)

    def class_weights(self) -> Floats:
        """(C,) weights in the loss: 1, or N / (C n_c) for balanced classes; of several labels (N - n_c) / n_c of having
        one.
        """
        if self.config.class_weights == "none":
            return np.ones(self.n_classes)
        if self.task.several:
            has_C = np.maximum(self.train.labels.sum(0, dtype=np.int64), 1)
            return np.asarray(np.maximum(len(self.train) - has_C, 1) / has_C)
        counts_C = np.bincount(self.train.labels, minlength=self.n_classes)
        return np.asarray(len(self.train) / (self.n_classes * np.maximum(counts_C, 1)))


class ReadTexts(NamedTuple):
    """Texts by how much of them a model reads at once; none where a route reads whole texts."""

    texts: int = 0
    longer: int = 0
    """Texts of more tokens than `limit`."""
    limit: int = 0
    """Tokens that are read at once."""
    pieces: int = 0
    """What was read, one after the other: as many as there are texts, or more where they are read in pieces."""

    @classmethod
    def of(cls, tokens: Tokens) -> ReadTexts:
        """Counts of tokenised texts."""
        return cls(tokens.n_texts, tokens.truncated, tokens.max_length, len(tokens.ids))


NOTHING_READ = ReadTexts()


@dataclass(frozen=True, slots=True)
class Closing:
    """What is known only when all texts have been predicted."""

    facts: dict[str, Any]
    cost: dict[str, Any]
    sentences: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Fitted:
    """What a route gives back."""

    predictor: Predictor
    parameters: dict[str, int]
    """trainable, and total with everything that is read to predict."""
    backbone: Backbone | None = None
    training: dict[str, Any] = field(default_factory=dict)
    """Losses, evaluations and counts of the training loop."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the route found or chose, in plain data."""
    read: ReadTexts = NOTHING_READ
    """How long the training texts were."""
    resumed_from_step: int = 0
    cost: dict[str, float] = field(default_factory=dict)
    """tokens, padded_tokens, train_flops, train_seconds."""
    flops_per_text: float | None = None
    """Of predicting one text of mean length."""
    notes: tuple[str, ...] = ()
    card: BackboneCard | None = None
    """Of a model that is not loaded here; otherwise the backbone has its own."""
    closing: Callable[[], Closing] | None = None
    """Asked after the evaluation."""

    def closed(self) -> Fitted:
        """With what is known after the evaluation."""
        if self.closing is None:
            return self
        last = self.closing()
        facts, cost = {**self.facts, **last.facts}, {**self.cost, **last.cost}
        return replace(self, facts=facts, cost=cost, notes=(*self.notes, *last.sentences), closing=None)
