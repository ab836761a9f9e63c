"""Has a finished model seen the test texts of a task?  It is asked to complete them, and how familiar it finds them.

    recitation   greedy continuation of a text's first half gives the second back, exactly or with d <= 0.1 (edits a
                 token, as in `memorisation`): what only a text that was read makes possible
    minimum      mean log p of the fifth of its tokens that the model finds least likely: a text that was read has no
                 word that surprises (min-k % prob)
    zlib         bits the model needs for a text over bits that zlib needs: what is cheap because it is simple is so for
                 both

Both likelihoods are held against a control: the chance that a test text looks more familiar than one of the control's,
1/2 where neither was read.  A control must be the same kind of text: training texts of the task that the model was not
given, or others by name.  The same texts with their words shuffled are a control for recitation alone: any model finds
text more familiar than shuffled words.

Sources: Shi et al. (2024), ICLR, arXiv 2310.16789 (min-k % prob, k = 20); Carlini et al. (2021), USENIX Security, arXiv
2012.07805 (zlib); Carlini et al. (2023), arXiv 2202.07646 (extraction).
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tokenworth.base.aliases import Floats
from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.measures.loaded_decoder import Decoder, token_nll
from tokenworth.measures.measure_settings import CompletionCall
from tokenworth.measures.measured import Measured
from tokenworth.measures.memorisation import recital_distance, recited_shares
from tokenworth.measures.sample_intervals import precedence, with_ends
from tokenworth.measures.token_rows import documents_of, tokens_of
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task

FEWEST = 8
"""Tokens of a text that is asked for: the end of a shorter one is guessed."""
LEAST_LIKELY = 0.2
MARGIN = 0.05
"""By how much the chance to look more familiar must pass 1/2 before it means anything: parts of one task differ a
little in kind, and with many texts any difference is significant."""
LIKELIHOODS = ("minimum", "zlib")
_EXAMPLES = 5
_LN2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Completion(Measured):
    """What a model does with test texts and with a control."""

    control: str
    """What the control is: train, shuffled, or the files."""
    rows: list[dict[str, Any]]
    """Of test and of control: of, texts, too_short, exact, approximate, minimum, zlib, each with its 95 % interval."""
    familiar: dict[str, dict[str, float]]
    """By likelihood: the chance that a test text looks more familiar than one of the control's, low, high."""
    examples: list[dict[str, str]]
    """Test texts that were completed exactly: given, completed."""

    @property
    def recited(self) -> bool:
        """Whether test texts are completed more often than the control's, beyond both intervals."""
        test, control = self.rows
        return any(test[f"{name}_low"] > control[f"{name}_high"] for name in ("exact", "approximate"))

    @property
    def familiar_beyond_chance(self) -> bool:
        """Whether test texts have fewer surprising words than a control of the same kind."""
        return self.control != "shuffled" and self.familiar["minimum"]["low"] > 0.5 + MARGIN

    @property
    def seen(self) -> bool:
        """Whether the model seems to have read the test texts."""
        return self.recited or self.familiar_beyond_chance

    def sentences(self) -> list[str]:
        """The answer, and what it rests on."""
        test, control = self.rows
        chance = self.familiar["minimum"]
        seen = f"{self.model} seems to have seen the test texts."
        unseen = f"Nothing here says that {self.model} has seen the test texts."
        recited = (
            f"It completes {test['exact']:.0%} of them from their first half word for word ({test['exact_low']:.0%} to "
            f"{test['exact_high']:.0%}), and {control['exact']:.0%} of the control ({control['exact_low']:.0%} to "
            f"{control['exact_high']:.0%})."
        )
        sentences = [seen if self.seen else unseen, recited]
        if self.control == "shuffled":
            return [
                *sentences,
                "Likelihoods say nothing against shuffled words; give --control texts it cannot have seen.",
            ]
        sentences.append(
            f"A test text looks more familiar than one of the control in {chance['value']:.0%} of pairs "
            f"({chance['low']:.0%} to {chance['high']:.0%}; 50% if it read neither, or both)."
        )
        if control["exact_low"] > MARGIN:
            sentences.append("It completes the control too, so this control hides what it has seen; take another one.")
        return sentences

    def asdict(self) -> dict[str, Any]:
        """Plain data."""
        return Measured.asdict(self) | {"seen": self.seen, "sentences": self.sentences()}


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """Texts after they were asked for: N of them."""

    ids: list[list[int]]
    too_short: int
    distance_N: Floats
    """Edits a token between the second half and what was said."""
    likelihood_LN: Floats
    """minimum (nats) and zlib (a share, its sign turned): higher is more familiar."""


@keywords_of(CompletionCall)
def measure_completion(call: CompletionCall) -> Completion:
    """Completion and likelihood of test texts against a control.

    Raises:
        SettingError: fewer than two texts of either have 8 tokens.
    """
    decoder, seed = call.decoder, call.seed
    decoder.check_length(call.length)
    same = {text.strip() for text in call.test}
    both = {"test": call.test, "control": [text for text in call.control if text.strip() not in same]}
    asked = {name: _ask(decoder, name, texts, call.length, call.most, seed) for name, texts in both.items()}
    rows = [_row(name, texts_asked, seed) for name, texts_asked in asked.items()]
    familiar = {
        name: dict(zip(("value", "low", "high"), precedence(own_N, other_N, seed), strict=True))
        for name, own_N, other_N in zip(
            LIKELIHOODS, asked["test"].likelihood_LN, asked["control"].likelihood_LN, strict=True
        )
    }
    return Completion(decoder.name, call.control_name, rows, familiar, _examples(decoder, asked["test"]))


@known_keywords
def shuffled(texts: Sequence[str], seed: int = 0) -> list[str]:
    """Every text with its words in seeded random order."""
    rng = np.random.default_rng(seed)
    return [" ".join(np.array(text.split(), dtype=object)[rng.permutation(len(text.split()))]) for text in texts]


def control_texts(task: Task, control: Sequence[str], seed: int) -> Sequence[str]:
    """Texts to compare those of a task with: "train", "shuffled" (its test texts), or those of files."""
    if list(control) == ["train"]:
        return task.train.texts
    return shuffled(task.test.texts, seed) if list(control) == ["shuffled"] else documents_of(control)


def _ask(decoder: Decoder, name: str, texts: Sequence[str], length: int, most: int, seed: int) -> _Asked:
    """Texts of one length together: no padding, and the halves are the same places in all of them."""
    ids, too_short = _chosen(decoder, texts, length, most, seed)
    if len(ids) < 2:
        raise SettingError(
            f"{len(ids)} of {len(texts)} {name} texts have {FEWEST} tokens or more, and two are needed; bring longer "
            "texts, or more of them"
        )
    groups = defaultdict(list)
    for i, row in enumerate(ids):
        groups[len(row)].append(i)
    distance_N, likelihood_LN = np.empty(len(ids)), np.empty((len(LIKELIHOODS), len(ids)))
    for size, places in sorted(groups.items()):
        rows_GT = torch.tensor([ids[i] for i in places])
        distance_N[places] = recital_distance(decoder, rows_GT, size // 2)
        likelihood_LN[:, places] = _likelihoods(decoder, rows_GT)
    return _Asked(ids, too_short, distance_N, likelihood_LN)


def _chosen(decoder: Decoder, texts: Sequence[str], length: int, most: int, seed: int) -> tuple[list[list[int]], int]:
    """The first tokens of sampled texts that have enough of them, behind the token that begins a document."""
    chosen: list[list[int]] = []
    too_short = 0
    for i in np.random.default_rng(seed).permutation(len(texts)):
        ids = tokens_of(decoder, texts[i])
        if len(ids) < FEWEST:
            too_short += 1
        elif len(chosen) < most:
            chosen.append([*decoder.head, *ids][:length])
        else:
            break
    return chosen, too_short


def _likelihoods(decoder: Decoder, rows_GT: torch.Tensor) -> Floats:
    nll_GT = token_nll(decoder, rows_GT)
    worst = max(1, round(LEAST_LIKELY * nll_GT.shape[1]))
    minimum_G = -np.sort(nll_GT, axis=1)[:, -worst:].mean(1)
    bits_G = np.array([8 * len(zlib.compress(decoder.tokenizer.decode(row).encode(), 9)) for row in rows_GT])
    return np.stack([minimum_G, -nll_GT.sum(1) / _LN2 / bits_G])


def _row(name: str, asked: _Asked, seed: int) -> dict[str, Any]:
    minimum_N, zlib_N = asked.likelihood_LN
    return {
        "of": name,
        "texts": len(asked.ids),
        "too_short": asked.too_short,
        **recited_shares(asked.distance_N),
        **with_ends("minimum", minimum_N, seed),
        **with_ends("zlib", -zlib_N, seed),
    }


def _examples(decoder: Decoder, asked: _Asked) -> list[dict[str, str]]:
    begin, decode = len(decoder.head), decoder.tokenizer.decode
    hits = [asked.ids[i] for i in np.flatnonzero(asked.distance_N == 0)[:_EXAMPLES]]
    halves = [(row[begin : len(row) // 2], row[len(row) // 2 :]) for row in hits]
    return [{"given": decode(first), "completed": decode(last)} for first, last in halves]
