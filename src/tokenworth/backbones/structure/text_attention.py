"""Attention of texts packed in one row, computed text by text: a row of S tokens has S^2 pairs, its texts far fewer.

Neighbours in the row are taken together, padded to the longest of them, as many as have scores that stay in a
processor's cache:

    row     a a a b b b b c c c c c c c c       15 x 15 pairs
    chunks  [a a a .]   [c c c c c c c c]       2 x 4 x 4 + 8 x 8
            [b b b b]

The products are written out, scores and their softmax in float32.  On a CPU in bfloat16, forward and backward take 2.4
times less than PyTorch's kernel takes over a row of 8 short texts, and 5.2 times less where four of them are long (1.4
and 3.9 in float32; `python bench/text_attention.py`, docs/benchmarks.md).

Axes: S tokens of the row, N texts of a chunk, L tokens of the longest, H heads, K heads of keys, G = H / K, D numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

_SCORES = 2**19
"""Of a chunk at most, over all heads: 2 MB in float32; a text that has more is a chunk of its own."""
_OTHER_FORMS = ("softcap", "output_attentions", "position_bias", "cache")
"""Arguments of transformers' attention functions that change what is computed."""


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """N texts that stand behind each other in a row, T tokens in all."""

    start: int
    """Where the first begins in the row."""
    tokens_NL: Tensor
    """Number, among the chunk's, of the token at each place; behind a text's end that of its last token."""
    slots_T: Tensor
    """The way back: the place of each token among N L."""
    real_NL: Tensor

    def padded(self, x_TAD: Tensor, groups: int) -> Tensor:
        """(T, A, D) of A heads as (N groups, A / groups L, D)."""
        n, length = self.tokens_NL.shape
        x_NLAD = x_TAD.index_select(0, self.tokens_NL.flatten()).view(n, length, *x_TAD.shape[1:])
        return x_NLAD.transpose(1, 2).reshape(n * groups, -1, x_TAD.shape[2])

    def row(self, x: Tensor, heads: int) -> Tensor:
        """The way back."""
        n, length = self.tokens_NL.shape
        x_NLAD = x.view(n, heads, length, -1).transpose(1, 2)
        return x_NLAD.reshape(n * length, heads, -1).index_select(0, self.slots_T)

    def bias(self, mask_SS: Tensor) -> Tensor:
        """What is added to scores (N, L, L): 0 where a query sees a key, else -inf; every query sees something."""
        places_NL = self.start + self.tokens_NL
        seen_NLL = mask_SS[places_NL[:, :, None], places_NL[:, None, :]] & self.real_NL[:, None, :]
        return torch.zeros(seen_NLL.shape).masked_fill_(~seen_NLL, float("-inf"))


def chunks_of(lengths: list[int], heads: int) -> list[Chunk]:
    """Cut a row of texts into chunks."""
    cuts, longest, start = [0], 0, 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if place > start and (place + 1 - start) * heads * longest**2 > _SCORES:
            cuts.append(place)
            start, longest = place, length
    cuts.append(len(lengths))
    return [_chunk(lengths, start, end) for start, end in pairwise(cuts)]


def _chunk(lengths: list[int], start: int, end: int) -> Chunk:
    lengths_N = torch.tensor(lengths[start:end])
    ends_N, place_L = lengths_N.cumsum(0), torch.arange(int(lengths_N.max()))
    real_NL = place_L < lengths_N[:, None]
    tokens_NL = ((ends_N - lengths_N)[:, None] + place_L).minimum(ends_N[:, None] - 1)
    return Chunk(sum(lengths[:start]), tokens_NL, real_NL.flatten().nonzero().squeeze(1), real_NL)


def is_expected(model: Any, device: str) -> bool:
    """Whether packed texts of a model will attend apart on a kind of device, as far as its configuration says."""
    return device == "cpu" and getattr(model.config, "_attn_implementation", None) == "sdpa"


class TextAttention:
    """In place of transformers' attention function "sdpa", for one row of texts and the masks made for it."""

    def __init__(self, lengths: list[int], usual: Callable[..., Any]) -> None:
        self.lengths, self.usual = lengths, usual
        self._answers, self._refusals = 0, 0
        self._masks: list[tuple[Tensor, list[Tensor]]] = []
        self._chunks: dict[int, list[Chunk]] = {}

    @property
    def answers_all(self) -> bool:
        """Whether it was asked, and the usual function never was."""
        return self._answers > 0 and not self._refusals

    def know(self, mask: Any) -> None:
        """Take a mask (1, 1, S, S) that a layer will ask with."""
        if isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.device.type == "cpu":
            self._masks.append((mask, []))

    def __call__(
        self, module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
    ) -> tuple[Tensor, None]:
        """Attention (1, S, H, D) as the usual function gives it."""
        biases = next((biases for mask, biases in self._masks if mask is attention_mask), None)
        other = options.get("dropout") or any(options.get(name) not in {None, False} for name in _OTHER_FORMS)
        if biases is None or other or not query.shape[2] == key.shape[2] == sum(self.lengths):
            self._refusals += 1
            found: tuple[Tensor, None] = self.usual(module, query, key, value, attention_mask, **options)
            return found
        self._answers += 1
        heads = query.shape[1]
        chunks = self._chunks.setdefault(heads, chunks_of(self.lengths, heads))
        if not biases:
            biases += [chunk.bias(attention_mask[0, 0]) for chunk in chunks]
        scale = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        return _by_text(query[0], key[0], value[0], chunks, biases, scale)[None], None


def _by_text(
    query_HSD: Tensor, key_KSD: Tensor, value_KSD: Tensor, chunks: list[Chunk], biases: list[Tensor], scale: float
) -> Tensor:
    """Attention (S, H, D)."""
    sizes = [len(chunk.slots_T) for chunk in chunks]
    kind = query_HSD.device.type
    narrowed = torch.is_autocast_enabled(kind) and query_HSD.dtype != torch.float64
    dtype = torch.get_autocast_dtype(kind) if narrowed else query_HSD.dtype
    parts = [torch.split(x.transpose(0, 1).to(dtype), sizes) for x in (query_HSD, key_KSD, value_KSD)]
    found = [
        _Attention.apply(*of_chunk, chunk, bias, scale)  # type: ignore[no-untyped-call]
        for *of_chunk, chunk, bias in zip(*parts, chunks, biases, strict=True)
    ]
    return found[0] if len(found) == 1 else torch.cat(found)


class _Attention(torch.autograd.Function):
    """softmax(scale Q K' + bias) V of a chunk, and its gradient; heads that share keys are rows of one product."""

    @staticmethod
    def forward(
        ctx: Any, query_THD: Tensor, key_TKD: Tensor, value_TKD: Tensor, chunk: Chunk, bias_NLL: Tensor, scale: float
    ) -> Tensor:
        groups, heads, n = key_TKD.shape[1], query_THD.shape[1], len(bias_NLL)
        q, k, v = (chunk.padded(x, groups) for x in (query_THD, key_TKD, value_TKD))
        with torch.autocast(q.device.type, enabled=False):
            scores = torch.bmm(q.float() * scale, k.float().transpose(1, 2))
        scores.view(n, heads, *bias_NLL.shape[1:]).add_(bias_NLL[:, None])
        shares = torch.softmax(scores, -1).to(q.dtype)
        ctx.save_for_backward(q, k, v, shares)
        ctx.chunk, ctx.scale, ctx.heads = chunk, scale, (heads, groups)
        return chunk.row(torch.bmm(shares, v), heads)

    @staticmethod
    def backward(ctx: Any, grad_THD: Tensor) -> tuple[Any, ...]:
        q, k, v, shares = ctx.saved_tensors
        heads, groups = ctx.heads
        places = ctx.chunk.tokens_NL.shape
        grad_THD = grad_THD.contiguous()
        grad = grad_THD.new_zeros(places.numel(), *grad_THD.shape[1:]).index_copy_(0, ctx.chunk.slots_T, grad_THD)
        grad = grad.view(*places, *grad_THD.shape[1:]).transpose(1, 2).reshape(*q.shape[:2], -1)
        of_scores = torch._softmax_backward_data(torch.bmm(grad, v.transpose(1, 2)), shares, -1, shares.dtype)
        return (
            ctx.chunk.row(torch.bmm(of_scores, k).mul_(ctx.scale), heads),
            ctx.chunk.row(torch.bmm(of_scores.transpose(1, 2), q).mul_(ctx.scale), groups),
            ctx.chunk.row(torch.bmm(shares.transpose(1, 2), grad), groups),
            *(None,) * 3,
        )
