"""What a small pretraining run is asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenworth.errors import SettingError, TokenworthError


class PretrainError(TokenworthError, RuntimeError):
    """The documents do not suffice, or the training cannot go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyConfig:
    """Everything a run depends on beside its documents; the defaults took two to three minutes on two busy CPU cores.

    Raises:
        SettingError: a value is impossible, alone or together with another.
    """

    vocabulary: int = 2048
    """Most tokens of the byte-level BPE, its 256 bytes and the separator among them."""
    layers: int = 4
    """Transformer blocks."""
    width: int = 128
    """Size of a hidden state; a multiple of twice the heads, as rotary positions turn pairs of numbers."""
    heads: int = 4
    """Attention heads of a block."""
    block_tokens: int = 128
    """Length of a training sequence, and the longest text the model takes."""
    batch: int = 8
    """Sequences of a step."""
    steps: int = 800
    """Optimiser steps: a number and no time budget, so that a seed gives the same model on a slower day."""
    learning_rate: float = 6e-3
    """Peak of the schedule: linear up, then down along a cosine to a tenth of it."""
    warmup_share: float = 0.05
    """Share of the steps in which the rate rises, in [0, 1]."""
    weight_decay: float = 0.1
    """Decoupled, on matrices; the gains of the norms are left alone."""
    clip_norm: float = 1.0
    """Longest gradient, as Euclidean norm over all parameters."""
    held_out_share: float = 0.02
    """Share of the documents that bits per byte are measured on and nothing is learnt from, in (0, 0.5]."""
    log_every_steps: int = 50
    """Steps between two lines of the log."""
    seed: int = 0
    """Of the held-out documents, the first weights and the order of the data."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "block_tokens", "batch", "steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it counts things and must be 1 or more")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.width < 1 or self.width % (2 * self.heads):
            raise SettingError(
                f"width {self.width} cannot be dealt out to {self.heads} heads in pairs; "
                f"take a multiple of {2 * self.heads}"
            )
        if self.vocabulary < 257:
            raise SettingError(f"vocabulary {self.vocabulary} cannot hold 256 bytes and a separator; take 257 or more")
        if not (0 <= self.warmup_share <= 1 and 0 < self.held_out_share <= 0.5):
            raise SettingError(
                f"warmup_share {self.warmup_share} must be within 0 and 1, and held_out_share {self.held_out_share} "
                "above 0 and at most 0.5"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyRun:
    """What came of a run."""

    folder: Path
    """config.json, model.safetensors, tokenizer.json and tokenizer_config.json."""
    parameters: int
    """Numbers the model has learnt; embedding and output matrix are one."""
    tokens: int
    """Tokens predicted in training, repeats counted."""
    bits_per_byte_before: float
    """On the held-out documents with the first, random weights."""
    bits_per_byte_after: float
    """The same after the last step."""
    losses: tuple[float, ...]
    """Mean loss of each step's batch before its update, in nats a token."""
    seconds: float
    """Wall-clock time from the documents to the saved folder."""
