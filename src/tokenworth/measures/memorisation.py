"""What a model can be made to recite: spans of its training documents, from the tokens before them.

A span of m tokens is extractable with a prefix of k tokens if greedy continuation of the k tokens before it gives it
back: exactly, or approximately, with a normalised edit distance

    d = (least number of insertions, deletions and replacements) / m  <=  0.1 .

Rates are given by prefix length and by how often the span's m tokens stand in the corpus.  Spans of documents that the
model never saw (`held_out`) are the control: what is recited there is text that anybody could have guessed.

Sources: Carlini et al. (2023), ICLR, arXiv 2202.07646 (k-extractable spans by repetition and context); Lee et al.
(2022), ACL, arXiv 2107.06499 (duplicates); Ippolito et al. (2023), INLG, arXiv 2210.17546 (approximate recitation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError
from tokenworth.measures.corpus_spans import Spans
from tokenworth.measures.loaded_decoder import Decoder, continued
from tokenworth.measures.measure_settings import MemorisationCall
from tokenworth.measures.measured import Measured
from tokenworth.measures.sample_intervals import share_with_ends
from tokenworth.measures.token_rows import Ids, packed
from tokenworth.settings.signatures import keywords_of

APPROXIMATE = 0.1  # edits a token of the span up to which a recitation counts as approximate
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Memorisation(Measured):
    """Rates of recited spans with Wilson's 95 % intervals."""

    span: int
    """Tokens of a span."""
    tokens: int
    """Of the corpus in which spans were counted."""
    rates: list[dict[str, Any]]
    """A row a prefix length and number of times: prefix, times, times_last, spans, exact, approximate, their ends."""
    examples: list[dict[str, Any]]
    """Spans that were recited exactly, the rarest first: prefix, times, text."""


@dataclass(frozen=True, eq=False, slots=True)
class _Trial:
    """Spans to be recited, with all that stands before them."""

    times: int
    """The lower end of its group."""
    window_NT: torch.Tensor
    """Longest prefix, then the span."""
    counts: list[int]


@keywords_of(MemorisationCall)
def measure_memorisation(call: MemorisationCall) -> Memorisation:
    """Rates of extractable spans; the same spans for every prefix length.

    Raises:
        SettingError: no document is long enough for the longest prefix and a span.
    """
    decoder, prefixes, span = call.decoder, call.prefixes, call.span
    if not prefixes or min(prefixes) < 1 or span < 1:
        raise SettingError(f"prefixes {list(prefixes)} and span {span} count tokens; take 1 or more")
    decoder.check_length(max(prefixes) + span)
    tokens, trials = _trials(call, np.random.default_rng(call.seed))
    rows, examples = [], []
    for prefix in prefixes:
        for trial in trials:
            distance_N = recital_distance(decoder, trial.window_NT[:, -span - prefix :], prefix)
            group = {"times": trial.times, "times_last": max(2 * trial.times - 1, 0), "spans": len(distance_N)}
            rows.append({"prefix": prefix, **group, **recited_shares(distance_N)})
            for i in np.flatnonzero(distance_N == 0)[:_EXAMPLES]:
                text = decoder.tokenizer.decode(trial.window_NT[i, -span:])
                examples.append({"prefix": prefix, "times": trial.counts[i], "text": text})
    examples.sort(key=lambda example: (example["times"], example["prefix"]))
    return Memorisation(decoder.name, span, tokens, rows, examples[:_EXAMPLES])


def _trials(call: MemorisationCall, rng: np.random.Generator) -> tuple[int, list[_Trial]]:
    """Tokens of the corpus, and spans by how often they stand there, those of no training document first."""
    before, span, most = max(call.prefixes), call.span, call.most
    stream_N, place_N = packed(call.decoder, call.documents)
    if place_N.max() + 1 < before + span:
        raise SettingError(
            f"the longest of {len(call.documents)} documents has {place_N.max() + 1} tokens, and a prefix of {before} "
            f"with a span of {span} takes {before + span}; bring longer documents, or ask for shorter prefixes"
        )
    spans = Spans.of(stream_N, place_N, span)
    trials = _sampled(spans, place_N, before, most, rng)
    if call.held_out:
        other_N, other_place_N = packed(call.decoder, call.held_out)
        unseen = spans.unseen(Spans.of(other_N, other_place_N, span))
        trials = _sampled(unseen, other_place_N, before, most, rng) + trials
    return len(stream_N), [trial for trial in trials if trial.counts]


def _sampled(spans: Spans, place_N: Ids, before: int, most: int, rng: np.random.Generator) -> list[_Trial]:
    trials = []
    for times, places in spans.sample(place_N, before, most, rng).items():
        windows = [spans.stream_N[place - before : place + spans.span] for place in places]
        counts = [spans.times(place) if times else 0 for place in places]
        window_NT = torch.from_numpy(np.array(windows, dtype=np.int64).reshape(len(places), -1))
        trials.append(_Trial(times, window_NT, counts))
    return trials


def recital_distance(decoder: Decoder, text_NT: torch.Tensor, prefix: int) -> Floats:
    """Edits a token between the greedy continuation of each text's first `prefix` tokens and what follows them (N)."""
    said_NM = continued(decoder, text_NT[:, :prefix], text_NT.shape[1] - prefix)[:, prefix:]
    return edit_distance(said_NM.numpy(), text_NT[:, prefix:].numpy()) / said_NM.shape[1]


def edit_distance(a_NM: Ids, b_NM: Ids) -> Ids:
    """Levenshtein distance of each row of one to the same row of the other, all rows at once: O(M^2) steps."""
    rows, length = a_NM.shape
    above = np.tile(np.arange(length + 1), (rows, 1))
    for i in range(1, length + 1):
        current = np.empty_like(above)
        current[:, 0] = i
        for j in range(1, length + 1):
            replaced = above[:, j - 1] + (a_NM[:, i - 1] != b_NM[:, j - 1])
            current[:, j] = np.minimum(replaced, np.minimum(above[:, j], current[:, j - 1]) + 1)
        above = current
    return above[:, -1]


def recited_shares(distance_N: Floats) -> dict[str, float]:
    """Shares of texts that were recited exactly and approximately, with the ends of their intervals."""
    exact, approximate = distance_N <= 0, distance_N <= APPROXIMATE
    return share_with_ends("exact", exact) | share_with_ends("approximate", approximate)
