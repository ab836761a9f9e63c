"""One forward pass per part: pooled features to disk, context moments of the training texts in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from tokenworth.assessment.settings import AssessSettings
from tokenworth.backbones import Backbone
from tokenworth.encode import EncodeStats, FeatureFile, Tokens, encode, pool
from tokenworth.scores import ContextMoments

Progress = Callable[[str, int, int], None]
"""Called as progress(part, done_tokens, total_tokens)."""


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """What the forward pass left behind."""

    train: FeatureFile
    test: FeatureFile
    context: dict[int, ContextMoments]
    """By layer; empty where the pooling changes the width."""
    stats: dict[str, EncodeStats]
    """By part: train, test."""


def collect(
    backbone: Backbone,
    tokens: dict[str, Tokens],
    settings: AssessSettings,
    folder: Path,
    progress: Progress | None = None,
) -> Encoded:
    """Pass the texts of both parts through the backbone once.

    Raises:
        EncodeError: see `encode`.
        SettingError: an unknown pooling.
    """
    context: dict[int, ContextMoments] = {}
    if settings.pooling != "last+mean":
        context = {
            layer: ContextMoments(backbone.width, settings.prefix, target_moment=False) for layer in settings.layers
        }
    files, stats = {}, {}
    for part in ("train", "test"):
        moments = context if part == "train" else {}
        files[part], stats[part] = _encode_part(backbone, tokens[part], settings, folder / part, moments, progress)
    for seen in context.values():  # the scores are computed where the pooled features are
        seen.sums = seen.sums.to("cpu")
    return Encoded(files["train"], files["test"], context, stats)


def _encode_part(
    backbone: Backbone,
    tokens: Tokens,
    settings: AssessSettings,
    path: Path,
    context: dict[int, ContextMoments],
    progress: Progress | None,
) -> tuple[FeatureFile, EncodeStats]:
    width = backbone.width * (2 if settings.pooling == "last+mean" else 1)

    def report(done: int, total: int) -> None:
        if progress:
            progress(path.name, done, total)

    with FeatureFile.create(path.parent, path.name, settings.layers, len(tokens.ids), width) as features:

        def consume(layer: int, states: Tensor, mask: Tensor, rows: np.ndarray) -> None:
            features.write(layer, rows, pool(states, mask, settings.pooling))
            if layer in context:  # last: it is the part that must not happen twice when memory runs out
                context[layer] = context[layer].update(states, mask)

        stats = encode(
            backbone,
            tokens,
            consume,
            layers=settings.layers,
            batch_tokens=settings.batch_tokens,
            progress=report,
        )
    return features, stats
