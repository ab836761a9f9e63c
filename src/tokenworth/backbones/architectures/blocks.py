"""What our own decoders share: maps that end a residual branch, rotary positions, attention written out.

Axes: B texts, T tokens, S tokens in the cache and the text, H heads, E head width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualLinear(nn.Linear):
    """A map that ends a residual branch: a linear map whose initialisation also depends on the depth."""


def rotary_angles(positions_BT: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B, 1, T, E) of position x base^(-2i / E), in float32; both halves of E turn alike."""
    place = torch.arange(0, head_dim, 2, device=positions_BT.device, dtype=torch.float32)
    angle = positions_BT[:, None, :, None].float() * base ** (-place / head_dim)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x_BHTE: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (i, i + E/2) by their position's angle, in float32."""
    wide = x_BHTE.float()
    low, high = wide.chunk(2, dim=-1)
    return (wide * cosine + torch.cat([-high, low], dim=-1) * sine).to(x_BHTE.dtype)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_more: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, for those who want its weights: (B, T, H, E) and (B, H, T, S)."""
    groups: int = module.num_key_value_groups  # type: ignore[assignment]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    scores = scores if attention_mask is None else scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights
