"""Tokens of the texts of a task, without the model."""

from __future__ import annotations

import numpy as np

from tokenworth.backbones.loading.tokenizer import tokenizer_of
from tokenworth.tasks import Task

_TEXTS_TOKENISED = 2000


def token_lengths(model: str, task: Task, max_length: int | None = None, tokenizer: str | None = None) -> np.ndarray:
    """Tokens of each training text, then of each test text; of many texts a sample is tokenised and repeated.

    Args:
        model: folder, hub id or published name; only its tokenizer is read.
        task: the texts.
        max_length: tokens kept of a text; None keeps what the tokenizer says the model can read.
        tokenizer: another one than the model's.

    Raises:
        BackboneError: the tokenizer is not found.
    """
    words, _ = tokenizer_of(model.removesuffix("@random"), tokenizer)
    texts = [*task.train.texts, *task.test.texts]
    chosen = np.random.default_rng(0).permutation(len(texts))[:_TEXTS_TOKENISED]
    found = [len(ids) for ids in words([texts[i] for i in chosen], verbose=False)["input_ids"]]
    limit = min(max_length or words.model_max_length, words.model_max_length)
    return np.resize(np.minimum(np.array(found, dtype=np.int64), int(min(limit, 10**9))), len(texts))
