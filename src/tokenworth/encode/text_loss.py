"""How well a decoder predicts texts: negative log-likelihood a token and bits a byte, by a forward pass of its own.

Axes: B texts of a batch, T tokens of the longest, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tokenworth.backbones import Backbone, load_backbone
from tokenworth.base.float32_products import float32_products, short_attention
from tokenworth.encode.batches import plan_batches
from tokenworth.encode.forward_pass import default_batch_tokens
from tokenworth.encode.tokens import tokenise
from tokenworth.errors import BackboneError

_LOGITS_AT_ONCE = 20_000_000
_NONE = {"nll": math.nan, "bits_per_byte": math.nan, "tokens": 0.0}


def text_loss(
    backbone: Backbone, texts: Sequence[str], *, max_length: int | None = None, most: int = 500, seed: int = 0
) -> dict[str, float]:
    """Mean loss of next-token prediction over a sample of texts.

    Every token but the first of a text is predicted from those before it.  Bytes are those of the texts as they are
    decoded from the tokens that were kept, without the first one.

    Args:
        backbone: loaded with its LM head.
        texts: at least one with two tokens.
        max_length: tokens kept of a text.
        most: texts of the sample.
        seed: of the sample.

    Returns:
        nll (nats a token), bits_per_byte, tokens; NaN for both where the model predicts no next tokens.
    """
    if not backbone.causal or backbone.lm_head is None:
        return _NONE
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:most])
    losses = text_losses(backbone, [texts[i] for i in chosen], max_length=max_length)
    total, count, size = float(losses.nats_N.sum()), int(losses.tokens_N.sum()), int(losses.bytes_N.sum())
    return {"nll": total / max(count, 1), "bits_per_byte": total / math.log(2) / max(size, 1), "tokens": count}


@dataclass(frozen=True, eq=False, slots=True)
class TextLosses:
    """What a decoder makes of each of N texts; all 0 for a text of fewer than two tokens."""

    nats_N: np.ndarray  # sum of -log p over the predicted tokens: all but the first
    tokens_N: np.ndarray  # predicted ones
    bytes_N: np.ndarray  # of the predicted tokens, decoded

    @property
    def bits_per_byte(self) -> np.ndarray:
        """(N,) float64; NaN where nothing was predicted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.bytes_N > 0, self.nats_N / math.log(2) / self.bytes_N, math.nan)


def text_losses(backbone: Backbone, texts: Sequence[str], *, max_length: int | None = None) -> TextLosses:
    """Loss of next-token prediction of every text.

    The backbone is causal and was loaded with its LM head; ``max_length``: tokens kept of a text.
    """
    ids = tokenise(backbone, texts, max_length=max_length).ids
    rows = np.array([row for row, text in enumerate(ids) if len(text) > 1], dtype=np.int64)
    nats_N, bytes_N = np.zeros(len(ids)), np.zeros(len(ids), dtype=np.int64)
    with torch.inference_mode(), float32_products():
        for batch in plan_batches([len(ids[row]) for row in rows], default_batch_tokens(backbone)):
            nats_N[rows[batch]] = _batch_loss(backbone, [ids[row] for row in rows[batch]])
    words = (backbone.tokenizer.decode(ids[row][1:].tolist(), skip_special_tokens=True) for row in rows)
    bytes_N[rows] = [len(str(text).encode("utf-8", "surrogatepass")) for text in words]
    return TextLosses(nats_N, np.array([len(text) - 1 for text in ids], dtype=np.int64).clip(0), bytes_N)


def loss_of(
    name: str,
    texts: Sequence[str],
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    **sample: Any,
) -> dict[str, float]:
    """`text_loss` of a backbone by its name; NaN where it has no head that predicts next tokens."""
    try:
        backbone = load_backbone(name, revision=revision, lm_head=True, device=device, dtype=dtype, seed=seed)
    except BackboneError:
        return _NONE
    return text_loss(backbone, texts, seed=seed, **sample)


def _batch_loss(backbone: Backbone, ids: list[np.ndarray]) -> np.ndarray:
    """(B,) summed loss of each right-padded text; a causal model never sees the padding behind them."""
    assert backbone.lm_head is not None, "a loss is asked of models with a head"
    longest = max(map(len, ids))
    ids_BT = torch.full((len(ids), longest), backbone.pad_id)
    mask_BT = torch.zeros(len(ids), longest, dtype=torch.long)
    for row, text in enumerate(ids):
        ids_BT[row, : len(text)] = torch.as_tensor(text.astype(np.int64))
        mask_BT[row, : len(text)] = 1
    ids_BT, mask_BT = ids_BT.to(backbone.device), mask_BT.to(backbone.device)
    model: Any = backbone.model
    with short_attention(longest, backbone.dtype, backbone.device):
        states_BTD = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    kept = mask_BT[:, 1:].bool()
    states_ND, wanted_N = states_BTD[:, :-1][kept], ids_BT[:, 1:][kept]
    size, parts = max(1, _LOGITS_AT_ONCE // backbone.structure.n_embeddings), []
    for begin in range(0, len(states_ND), size):
        logits_NV = backbone.lm_head(states_ND[begin : begin + size]).float()
        wanted = wanted_N[begin : begin + size]
        parts.append(torch.nn.functional.cross_entropy(logits_NV, wanted, reduction="none").double().cpu())
    owner_N = np.repeat(np.arange(len(ids)), [len(text) - 1 for text in ids])
    return np.bincount(owner_N, weights=torch.cat(parts).numpy(), minlength=len(ids))
