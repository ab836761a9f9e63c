"""How varied texts are: numbers that fall, or rise, when a model is trained on what models wrote."""

from __future__ import annotations

import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Sequence

from tokenworth.base.keywords import known_keywords

LIMITS = {"distinct_2": 0.85, "compression": 0.9}
"""Variety beside real text below which `alarm` rings."""
_WORD = re.compile(r"[^\W_]+")
_ORDERS = (1, 2, 3, 4)
_COMPRESSED_BYTES = 8_000_000


@known_keywords
def diversity(texts: Sequence[str], *, sample: int = 100, seed: int = 0) -> dict[str, float]:
    """Measures of variety of texts.

    Args:
        texts: documents.
        sample: texts that self-BLEU compares with each other; its cost grows with the square.
        seed: of the sample.

    Returns:
        distinct_1 to distinct_4: different runs of so many words, as a share of all of them (falls with repetition, and
        with the amount of text: compare equal amounts); self_bleu: mean BLEU of a text against all other sampled ones,
        in [0, 1] (rises when texts are alike); compression: bytes over compressed bytes of the first 8 MB (rises).

    Sources: Li et al. (2016), A diversity-promoting objective function (distinct-n); Zhu et al. (2018), Texygen
    (self-BLEU).
    """
    split = [_WORD.findall(text.lower()) for text in texts]
    distinct = {f"distinct_{n}": _distinct(split, n) for n in _ORDERS}
    chosen = random.Random(seed).sample(split, min(sample, len(split)))  # noqa: S311 - a sample, not a secret
    return {**distinct, "self_bleu": self_bleu(chosen), "compression": _compression(texts)}


def _runs(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _distinct(split: Sequence[Sequence[str]], n: int) -> float:
    every: Counter[tuple[str, ...]] = Counter()
    for words in split:
        every.update(_runs(words, n))
    return len(every) / max(1, every.total())


def _compression(texts: Sequence[str]) -> float:
    data = "\n".join(texts).encode("utf-8", "surrogatepass")[:_COMPRESSED_BYTES]
    return len(data) / max(1, len(zlib.compress(data, 6))) if data else 0.0


def self_bleu(split: Sequence[Sequence[str]]) -> float:
    """Mean BLEU-4 of each text against all others; a text without a run that others have counts 0.

    BLEU = brevity penalty * exp(mean over n of log precision_n), a run counting as often as in the other text that has
    it most.
    """
    if len(split) < 2:
        return 0.0
    tables = [[_runs(words, n) for n in _ORDERS] for words in split]
    return sum(_bleu(i, split, tables) for i in range(len(split))) / len(split)


def _bleu(text: int, split: Sequence[Sequence[str]], tables: Sequence[Sequence[Counter[tuple[str, ...]]]]) -> float:
    logs = []
    for order, runs in enumerate(tables[text]):
        others = [table[order] for i, table in enumerate(tables) if i != text]
        common = sum(min(count, max(other.get(run, 0) for other in others)) for run, count in runs.items())
        if common == 0:
            return 0.0
        logs.append(math.log(common / runs.total()))
    length = len(split[text])
    nearest = min((len(words) for i, words in enumerate(split) if i != text), key=lambda n: (abs(n - length), n))
    penalty = 1.0 if length > nearest else math.exp(1 - nearest / max(1, length))
    return penalty * math.exp(sum(logs) / len(logs))


def beside_real(texts: Sequence[str], real: Sequence[str], *, seed: int = 0) -> dict[str, float]:
    """How varied texts are beside real ones of the same kind: 1 as much, less: less.

    distinct_1 to distinct_4 of the texts over those of the real ones, and compression the other way round, on equal
    numbers of words: documents are drawn in seeded order until both have as many as the smaller side.
    """
    sides = [_words_in_order(side, seed) for side in (texts, real)]
    size = min(map(len, sides))
    new, old = ([words[:size]] for words in sides)
    distinct = {f"distinct_{n}": _distinct(new, n) / max(_distinct(old, n), 1e-9) for n in _ORDERS}
    packed = [_compression([" ".join(words) for words in side]) for side in (new, old)]
    return {**distinct, "compression": packed[1] / max(packed[0], 1e-9)}


def _words_in_order(texts: Sequence[str], seed: int) -> list[str]:
    order = random.Random(seed).sample(range(len(texts)), len(texts))  # noqa: S311 - a sample, not a secret
    return [word for i in order for word in _WORD.findall(texts[i].lower())]


def alarm(texts: Sequence[str], real: Sequence[str], *, seed: int = 0) -> list[str]:
    """Sentences about measures in which texts are less varied than real ones beyond `LIMITS`; empty: no alarm.

    For a corpus that models wrote, or a mixture with such text, before something is trained on it.

    Sources: Shumailov et al. (2024), Nature 631, 755-759 (models that learn from their own samples collapse);
    Gerstgrasser et al. (2024), arXiv 2404.01413 (not so where real text is kept).
    """
    shares = beside_real(texts, real, seed=seed)
    return [
        f"{name} is {shares[name]:.2f} of what it is in real text (alarm below {limit:g}): keep more real text in the "
        "mixture"
        for name, limit in LIMITS.items()
        if shares[name] < limit
    ]
