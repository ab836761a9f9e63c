"""Loss by position in long documents, and what the part of the context behind the trained length is worth.

For documents of T tokens, longer than the W tokens a model was trained to read:

    full_t    = -log q(x_t | x_1 .. x_{t-1})          everything before it
    recent_t  = -log q(x_t | x_{t-c} .. x_{t-1})      W - 1 tokens before it at most, W/2 at least where there are
    gain_t    = recent_t - full_t                     above 0: what lies further back helps

full_t alone misleads: beginnings of documents are harder than what follows, whatever the model.  The gain compares the
same tokens with themselves.  A model that cannot read beyond W has a gain far below 0 there.

Source: Press et al. (2021), ACL, arXiv 2012.15832, and Press et al. (2022), ICLR, arXiv 2108.12409 (why long contexts
must be compared at equal tokens).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, token_nll
from tokenworth.measures.measure_settings import PositionsCall
from tokenworth.measures.measured import Measured
from tokenworth.measures.sample_intervals import with_ends
from tokenworth.measures.token_rows import rows_of
from tokenworth.settings.signatures import keywords_of


@dataclass(frozen=True, slots=True)
class Positions(Measured):
    """Means in nats a token with 95 % bootstrap intervals over documents."""

    texts: int
    """Documents that were read."""
    length: int
    """T, tokens."""
    window: int
    """W, tokens."""
    bins: list[dict[str, Any]]
    """A row a range of positions (the first token is position 1 and is predicted by nothing): first, last, full, ..."""


@keywords_of(PositionsCall)
def measure_positions(call: PositionsCall) -> Positions:
    """Loss by position; see the formulas above.

    Raises:
        SettingError: a length that the model has no positions for, or fewer than two documents of that length.
    """
    decoder, bins, seed = call.decoder, call.bins, call.seed
    window = call.window or min(decoder.trained, decoder.context)
    length = call.length or (4 * window if decoder.rotary else decoder.context)
    if min(length, window) < 2 or bins < 1:
        raise SettingError(f"length {length}, window {window}, bins {bins}: two tokens and one bin at least")
    decoder.check_length(length)
    ids_NT = rows_of(decoder, call.documents, length, most=call.most, seed=seed)
    full_NT, recent_NT = token_nll(decoder, ids_NT), recent_nll(decoder, ids_NT, window)
    rows = []
    for first, end in equal(length - 1, bins):
        full_N, recent_N = (values[:, first:end].mean(1) for values in (full_NT, recent_NT))
        row: dict[str, Any] = {"first": first + 2, "last": end + 1, "beyond": first + 2 > window}
        row |= with_ends("full", full_N, seed)
        row |= {"recent": float(recent_N.mean())} | with_ends("gain", recent_N - full_N, seed)
        rows.append(row)
    return Positions(decoder.name, len(ids_NT), length, window, rows)


def recent_nll(decoder: Decoder, ids_NT: Tensor, window: int) -> Floats:
    """-log q of every token but the first, by windows of W tokens that move on by half: (N, T - 1).

    The first window gives the losses of all its tokens, every other one those of its second half.
    """
    length = ids_NT.shape[1]
    nll_NT = np.empty((len(ids_NT), length - 1))
    done, start = 0, 0
    while done < length - 1:
        losses_NW = token_nll(decoder, ids_NT[:, start : start + window])
        end = start + losses_NW.shape[1]
        nll_NT[:, done:end] = losses_NW[:, done - start :]
        done, start = end, end + 1 - window // 2
    return nll_NT


def equal(count: int, bins: int) -> list[tuple[int, int]]:
    """Half-open ranges over 0..count-1, as equal as whole positions allow; fewer where there are fewer positions."""
    bins = max(1, min(bins, count))
    edges = [round(i * count / bins) for i in range(bins + 1)]
    return list(pairwise(edges))
