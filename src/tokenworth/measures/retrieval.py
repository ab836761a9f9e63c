"""Whether a fact is found again in a long text, by how deep it lies there.

A sentence "The secret word of KEY is VALUE." is put into filler text from documents at a depth between 0 % (the
beginning) and 100 % (right before the question); at the end stands "The secret word of KEY is".  Among C values the one
with the largest log-likelihood is the answer.  Keys and values are words of the documents, drawn at random.  Every text
is read twice, with value a planted (A) and with value b in its place (B), all else equal, and with s the
log-likelihoods

    accuracy = share of the readings whose planted value is above the C - 1 others
    gain     = ((s_A(a) - s_A(b)) - (s_B(a) - s_B(b))) / 2         nats

A model that does not use the sentence has gain 0 exactly, in every text, and is right with probability 1/C on average
over draws of the values (at most once in the two readings, so the interval of its accuracy is rather too wide).

Values that were not planted are no distractors within the text: a model that prefers any word it has just seen passes.

Sources: Kamradt (2023), "Needle in a haystack" (depth by length); Mohtashami and Jaggi (2023), arXiv 2305.16300
(passkeys against length).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tokenworth.base.aliases import Floats
from tokenworth.base.machine import is_out_of_memory
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, wide
from tokenworth.measures.measure_settings import RetrievalCall
from tokenworth.measures.measured import Measured
from tokenworth.measures.sample_intervals import share_with_ends, with_ends
from tokenworth.measures.token_rows import Ids, packed, tokens_of
from tokenworth.settings.signatures import keywords_of

_WORD = re.compile(r"[^\W\d_]{4,8}")
_FILLER_TEXTS = 500


@dataclass(frozen=True, slots=True)
class Retrieval(Measured):
    """Shares of right answers with Wilson's 95 % intervals."""

    chance: float
    """Share of right answers of who guesses: 1 / C for C values."""
    probes: int
    """Of each length and depth."""
    cells: list[dict[str, Any]]
    """A row a length and depth: tokens, depth (percent), accuracy and gain with the ends of their intervals."""


@dataclass(frozen=True, eq=False, slots=True)
class _Probe:
    """One text and its question; the values that are planted are the first two."""

    before: list[int]
    """The planted sentence without its value, and the question, which is the same."""
    values: list[list[int]]
    after: list[int]
    offset: int
    """Where its filler begins in the stream, so that all depths have the same filler."""

    def text(self, stream_N: Ids, tokens: int, depth: float, planted: int) -> list[int]:
        """Filler, sentence, filler, question: `tokens` in all."""
        sentence = [*self.before, *self.values[planted], *self.after]
        room = tokens - len(sentence) - len(self.before)
        filler = np.take(stream_N, range(self.offset, self.offset + room), mode="wrap").tolist()
        place = round(depth / 100 * room)
        return [*filler[:place], *sentence, *filler[place:], *self.before]


@keywords_of(RetrievalCall)
def measure_retrieval(call: RetrievalCall) -> Retrieval:
    """Accuracy of the probe above for every length and depth, the same probes in all of them.

    Raises:
        SettingError: lengths that the model has no positions for or that leave no room, or too few words.
    """
    decoder, documents = call.decoder, call.documents
    window = min(decoder.trained, decoder.context)
    lengths = call.lengths or ([window, 2 * window, 4 * window] if decoder.rotary else [decoder.context])
    decoder.check_length(max(lengths))
    rng = np.random.default_rng(call.seed)
    some = [documents[i] for i in rng.permutation(len(documents))[:_FILLER_TEXTS]]
    stream_N, _ = packed(decoder, some)
    asked = _probes(call, _words(some), len(stream_N), rng)
    needed = max(2 * len(probe.before) + max(map(len, probe.values)) + len(probe.after) for probe in asked)
    if min(lengths) < 2 * needed:
        raise SettingError(f"{min(lengths)} tokens leave no room: sentence and question take {needed}; ask for longer")
    cells = []
    for tokens in lengths:
        for depth in call.depths:
            texts = [[probe.text(stream_N, tokens, depth, planted) for planted in (0, 1)] for probe in asked]
            scores = [
                [value_scores(decoder, text, probe.values) for text in readings]
                for probe, readings in zip(asked, texts, strict=True)
            ]
            cells.append(_cell(tokens, depth, np.array(scores), call.seed))
    return Retrieval(decoder.name, 1 / call.values, call.probes, cells)


def _words(documents: Sequence[str]) -> NDArray[np.str_]:
    """Words of four to eight letters written small."""
    return np.array(sorted({word for text in documents for word in _WORD.findall(text) if word.islower()}))


def _probes(call: RetrievalCall, words: NDArray[np.str_], stream: int, rng: np.random.Generator) -> list[_Probe]:
    decoder, values, probes = call.decoder, call.values, call.probes
    if values < 2 or probes < 2 or len(words) <= values:
        raise SettingError(
            f"{values} values, {probes} probes and {len(words)} different words in the documents: two of each at "
            "least, and more words than values"
        )
    drawn = []
    for _ in range(probes):
        key, *others = (str(words[i]) for i in rng.choice(len(words), values + 1, replace=False))
        asked = call.question.format(key=key)
        before = tokens_of(decoder, asked)
        pieces = [_piece(decoder, asked, before, value) for value in others]
        drawn.append(_Probe(before, pieces, tokens_of(decoder, "."), int(rng.integers(stream))))
    return drawn


def _piece(decoder: Decoder, asked: str, before: list[int], value: str) -> list[int]:
    """Tokens of a value as they follow the question."""
    whole = tokens_of(decoder, f"{asked} {value}")
    return whole[len(before) :] if whole[: len(before)] == before else tokens_of(decoder, f" {value}")


def value_scores(decoder: Decoder, text: list[int], values: list[list[int]]) -> Floats:
    """log q(value | text), summed over its tokens, nats: (C,).  The text is read once for all values."""
    longest = max(map(len, values))
    value_CM = torch.tensor([ids + [ids[-1]] * (longest - len(ids)) for ids in values], device=decoder.device)
    used_CM = torch.arange(longest) < torch.tensor([[len(ids)] for ids in values])
    with torch.inference_mode():
        read = decoder.model(input_ids=torch.tensor([text], device=decoder.device), use_cache=True, **decoder.last)
        logits_CMV = wide(read.logits[:, -1:]).expand(len(values), -1, -1)
        if longest > 1:
            rest_CMV = _behind(decoder, text, read, value_CM[:, :-1])
            logits_CMV = torch.cat([logits_CMV, wide(rest_CMV)], dim=1)
    log_q_CM = logits_CMV.double().log_softmax(-1).gather(2, value_CM[:, :, None])[:, :, 0].cpu()
    return np.asarray((log_q_CM * used_CM).sum(1).numpy())


def _behind(decoder: Decoder, text: list[int], read: Any, value_CM: Tensor) -> Tensor:
    """Logits (C, M, V) at tokens behind a text that was read; it is read again where its state cannot be repeated."""
    try:
        read.past_key_values.batch_repeat_interleave(len(value_CM))
        logits: Tensor = decoder.model(input_ids=value_CM, past_key_values=read.past_key_values, use_cache=True).logits
    except (AttributeError, NotImplementedError, RuntimeError) as error:  # recurrent layers keep no keys and values
        if is_out_of_memory(error):
            raise
        text_CT = torch.tensor([text], device=decoder.device).expand(len(value_CM), -1)
        whole = decoder.model(input_ids=torch.cat([text_CT, value_CM], dim=1), use_cache=False).logits
        logits = whole[:, -value_CM.shape[1] :]
    return logits


def _cell(tokens: int, depth: float, score_P2C: Floats, seed: int) -> dict[str, Any]:
    """A tie is no answer: the planted value must be above all others."""
    others_P2 = np.stack([np.delete(score_P2C[:, i], i, axis=1).max(1) for i in (0, 1)], axis=1)
    planted_P2 = np.stack([score_P2C[:, i, i] for i in (0, 1)], axis=1)
    ahead_P2 = score_P2C[:, :, 0] - score_P2C[:, :, 1]
    accuracy = share_with_ends("accuracy", planted_P2 > others_P2)
    gain = with_ends("gain", (ahead_P2[:, 0] - ahead_P2[:, 1]) / 2, seed)
    return {"tokens": tokens, "depth": depth, **accuracy, **gain}
