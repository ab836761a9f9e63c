"""What stages ask of a backbone: states to compare documents by, and how well it predicts them.

Torch is loaded when a stage is run, not when a corpus file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.backbones import Backbone


@lru_cache(maxsize=2)
def _loaded(model: str, lm_head: bool) -> Backbone:
    """In float32, so that two documents are told apart by their words and not by rounding; kept for the next shard."""
    from tokenworth.backbones import load_backbone

    return load_backbone(model, dtype="float32", lm_head=lm_head)


def mean_states(texts: Sequence[str], model: str, *, layer: int | None = None, max_tokens: int = 512) -> np.ndarray:
    """(N, D) float32: the mean state of each text's first tokens.

    Args:
        texts: N documents; one without a token has the state of the tokenizer's first one.
        model: a folder, a hub id or a published name.
        layer: 0 (embedding) to L; None takes the one in the middle, L / 2 rounded up.
        max_tokens: of a text, cut to what the model takes.

    Raises:
        BackboneError: the model cannot be loaded.
        SettingError: it has no such layer.
    """
    from tokenworth.encode import encode, pool, tokenise

    with _one_thread():
        backbone = _loaded(model, lm_head=False)
        states_ND = np.zeros((len(texts), backbone.width), dtype=np.float32)

        def keep(_: int, states_BTD: Any, mask_BT: Any, rows_B: np.ndarray) -> None:
            states_ND[rows_B] = pool(states_BTD, mask_BT).cpu().numpy()

        if texts:
            tokens = tokenise(backbone, _valid(texts), max_length=min(max_tokens, backbone.max_length))
            encode(backbone, tokens, keep, layers=[_layer(backbone, layer)])
    return states_ND


def bits_per_byte(texts: Sequence[str], model: str, *, max_tokens: int = 512) -> np.ndarray:
    """(N,) float64: bits a byte that a decoder needs for each text's first tokens; NaN below two tokens.

    Raises:
        BackboneError: the model cannot be loaded, or predicts no next tokens.
    """
    from tokenworth.encode.text_loss import text_losses

    with _one_thread():
        backbone = _loaded(model, lm_head=True)
        if not texts:
            return np.zeros(0)
        limit = min(max_tokens, backbone.max_length)
        return text_losses(backbone, _valid(texts), max_length=limit).bits_per_byte


def _layer(backbone: Backbone, layer: int | None) -> int:
    if layer is not None and not 0 <= layer <= backbone.n_layers:
        raise SettingError(
            f"{backbone.name} has no layer {layer}; choose from 0 (embedding) to {backbone.n_layers}, or leave it out"
        )
    return (backbone.n_layers + 1) // 2 if layer is None else layer


def _valid(texts: Sequence[str]) -> list[str]:
    """Halves of surrogate pairs, which no tokenizer takes, as question marks."""
    return [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]


@contextmanager
def _one_thread() -> Iterator[None]:
    """A worker is one thread, so that `workers` says how much of a machine is used.

    It also keeps the bits: how a product is cut among threads may change the last ones.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
