"""Exposure bias by position: what it costs a model to have read its own text instead of a real one.

A model is trained on real prefixes and used on its own.  For documents x, with a prefix of k tokens and the token at
place j behind it, under the model q (nats):

    gold_j  = -log q(x_{k+j} | x_1 .. x_k,         x_{k+1} .. x_{k+j-1})     after its own document
    own_j   = -log q(x_{k+j} | y_1 .. y_k,         x_{k+1} .. x_{k+j-1})     y sampled from q, temperature 1
    other_j = -log q(x_{k+j} | z_1 .. z_k,         x_{k+1} .. x_{k+j-1})     z the prefix of another document

All three begin with the same `start` tokens of x.  own - gold alone says little: x is no continuation of y, so even a
perfect model pays for it.  Neither is it one of z, and y and z tell equally little about x, so

    own - gold  =  (other - gold)  +  (own - other)
                   mismatch           exposure: 0 where q's texts are as good to read as real ones

The second view asks whether what is sampled goes astray as it grows longer.  At position t of documents and of samples,

    drift_t = mean -log q(y_t | y_<t)  -  mean -log q(x_t | x_<t)

is 0 at every t if q is the source; above 0 the model's texts become more random than it believes real text to be, below
0 more repetitive.  The same under a `reference` model r tells quality: how much less likely samples are than documents.

Sources: Bengio et al. (2015), arXiv 1506.03099 (the mismatch); Braverman et al. (2020), ICML, arXiv 1906.05664 (drift
of the entropy rate); He et al. (2021), EMNLP, arXiv 1905.10617 (controls for the prefix).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, continued, token_nll
from tokenworth.measures.measure_settings import ExposureCall
from tokenworth.measures.measured import Measured
from tokenworth.measures.sample_intervals import with_ends
from tokenworth.measures.token_rows import rows_of
from tokenworth.settings.signatures import keywords_of


@dataclass(frozen=True, slots=True)
class Exposure(Measured):
    """Means in nats a token, with the ends of 95 % bootstrap intervals over texts for every difference."""

    texts: int
    """Documents that were read."""
    continuation: list[dict[str, Any]]
    """A row a prefix length and range of places: prefix, first, last, gold, own, other, exposure, mismatch, ..."""
    drift: list[dict[str, Any]]
    """A row a range of positions: first, last, gold, sampled, drift, and those of the reference where there is one."""


@keywords_of(ExposureCall)
def measure_exposure(call: ExposureCall) -> Exposure:
    """Exposure bias by place behind the prefix, and drift by position; see the formulas above.

    Raises:
        SettingError: lengths that leave nothing to sample, too few long documents, or a reference of other tokens.
    """
    decoder, prefixes, continuation = call.decoder, call.prefixes, call.continuation
    start, seed, reference = call.start, call.seed, call.reference
    _check(decoder, prefixes, continuation, start, reference)
    longest = max(prefixes)
    gold_NT = rows_of(decoder, call.documents, longest + continuation, most=call.most, seed=seed)
    uniform_NM = torch.rand(len(gold_NT), longest - start, generator=torch.Generator().manual_seed(seed))
    own_NK = continued(decoder, gold_NT[:, :start], longest - start, uniform_NM)
    other_NK = torch.cat([gold_NT[:, :start], gold_NT.roll(1, 0)[:, start:longest]], dim=1)
    nll_NT = token_nll(decoder, gold_NT)
    rows = []
    for prefix in prefixes:
        gold = nll_NT[:, prefix - 1 : prefix - 1 + continuation]
        rest_NM = gold_NT[:, prefix : prefix + continuation]
        sampled, other = (
            token_nll(decoder, torch.cat([before_NK[:, :prefix], rest_NM], dim=1))[:, prefix - 1 :]
            for before_NK in (own_NK, other_NK)
        )
        rows += [_place(prefix, *ends, gold, sampled, other, seed) for ends in doubling(continuation)]
    drift = _drift(decoder, reference, own_NK, gold_NT[:, :longest], start, seed)
    return Exposure(decoder.name, len(gold_NT), rows, drift)


def _check(decoder: Decoder, prefixes: Sequence[int], continuation: int, start: int, reference: Decoder | None) -> None:
    if not prefixes or continuation < 1 or start < 1 or min(prefixes) <= start:
        raise SettingError(
            f"prefixes {list(prefixes)}, continuation {continuation}, start {start}: every prefix must be longer than "
            "the start, and start and continuation 1 or more"
        )
    decoder.check_length(max(prefixes) + continuation)
    if reference is not None and reference.tokenizer.get_vocab() != decoder.tokenizer.get_vocab():
        raise SettingError(
            f"{reference.name} has other tokens than {decoder.name}, so it cannot judge its samples token by token; "
            "take a reference with the same tokenizer"
        )


def _place(
    prefix: int, first: int, end: int, gold: Floats, sampled: Floats, other: Floats, seed: int
) -> dict[str, Any]:
    """Places first + 1 to end behind a prefix."""
    gold_N, own_N, other_N = (values[:, first:end].mean(1) for values in (gold, sampled, other))
    row: dict[str, Any] = {"prefix": prefix, "first": first + 1, "last": end}
    row |= {"gold": float(gold_N.mean()), "own": float(own_N.mean()), "other": float(other_N.mean())}
    row |= with_ends("exposure", own_N - other_N, seed)
    row |= with_ends("mismatch", other_N - gold_N, seed)
    return row | with_ends("own_minus_gold", own_N - gold_N, seed)


def _drift(
    decoder: Decoder, reference: Decoder | None, own_NK: Tensor, gold_NK: Tensor, start: int, seed: int
) -> list[dict[str, Any]]:
    judges = {"": decoder} | ({} if reference is None else {"reference_": reference})
    losses = {
        key: [token_nll(judge, ids)[:, start - 1 :] for ids in (gold_NK, own_NK)] for key, judge in judges.items()
    }
    rows = []
    for first, end in doubling(gold_NK.shape[1] - start):
        row: dict[str, Any] = {"first": start + first + 1, "last": start + end}
        for key, pair in losses.items():
            gold_N, own_N = (values[:, first:end].mean(1) for values in pair)
            row |= {f"{key}gold": float(gold_N.mean()), f"{key}sampled": float(own_N.mean())}
            row |= with_ends(f"{key}drift", own_N - gold_N, seed)
        rows.append(row)
    return rows


def doubling(count: int) -> list[tuple[int, int]]:
    """Half-open ranges over 0..count-1 of widths 1, 2, 4, ...: what changes fast at first is seen finely there.

    A rest of less than half its range belongs to the range before it.
    """
    ranges, start, width = [], 0, 1
    while start < count:
        end = start + width if count - start - width >= width else count
        ranges.append((start, end))
        start, width = end, 2 * width
    return ranges
