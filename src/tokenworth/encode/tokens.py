"""Texts to token ids: once, never padded, every loss counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenworth.backbones import Backbone
from tokenworth.errors import BackboneError, EncodeError, SettingError, first_line, is_panic

# The tokenizer's own record of a text is many times its ids: hold few at a time.
_TEXTS_A_CALL = 1024
_CHARACTERS_A_CALL = 4_000_000


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token ids of N texts."""

    ids: list[np.ndarray]
    """N arrays of int32, special tokens as the tokenizer yields them; at least one token each."""
    truncated: int
    """Texts that were longer than ``max_length`` and lost their end (or start, if the tokenizer cuts there)."""
    empty: int
    """Texts that gave no token of their own (special tokens do not count)."""
    one_token: int
    """Texts of one token in all, which add nothing to the context moments."""
    max_length: int
    """Longest text allowed, in tokens."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text: (N,) int64."""
        return np.fromiter((len(ids) for ids in self.ids), dtype=np.int64, count=len(self.ids))

    @property
    def n_tokens(self) -> int:
        """Tokens of all texts."""
        return int(self.lengths.sum())


def tokenise(backbone: Backbone, texts: Sequence[str], *, max_length: int | None = None) -> Tokens:
    """Tokenise texts for a backbone, cut to ``max_length`` tokens (default: the longest the model takes).

    A text that yields no token at all becomes one token (beginning of text, else end, else padding, else 0), so that
    every text has a state.

    Raises:
        SettingError: max_length leaves no room for a token of the text, or exceeds the model's.
        EncodeError: a text is no string, or cannot be encoded.
        BackboneError: the tokenizer yields ids the model has no embedding for.
    """
    limit, n_special = _limit(backbone, max_length)
    ids: list[np.ndarray] = []
    truncated = 0
    for part, cut in _tokenised(backbone.tokenizer, texts, limit):
        truncated += cut
        ids += [np.asarray(row, dtype=np.int64) for row in part]
    empty = sum(len(row) <= n_special for row in ids)
    filler = np.array([_filler(backbone)], dtype=np.int32)
    ids = [row if len(row) else filler for row in ids]
    _check_ids(backbone, ids)
    ids = [row.astype(np.int32) for row in ids]
    return Tokens(ids, truncated, empty, sum(len(row) == 1 for row in ids), limit)


def _limit(backbone: Backbone, max_length: int | None) -> tuple[int, int]:
    """Longest text and number of special tokens in it."""
    n_special = int(backbone.tokenizer.num_special_tokens_to_add(pair=False))
    limit = backbone.max_length if max_length is None else max_length
    if limit > backbone.max_length:
        raise SettingError(f"max_length {limit} exceeds the {backbone.max_length} tokens that {backbone.name} takes")
    if limit <= n_special:
        raise SettingError(
            f"max_length {limit} leaves no room beside the {n_special} special tokens of {backbone.name}; "
            f"choose {n_special + 1} to {backbone.max_length}"
        )
    return limit, n_special


def _tokenised(tokenizer: Any, texts: Sequence[str], limit: int) -> Iterator[tuple[list[list[int]], int]]:
    """Ids of a part of the texts at a time, and how many of them were cut."""
    start = 0
    for part in _parts(texts):
        try:
            yield _fast(tokenizer, part, limit) if tokenizer.is_fast else _slow(tokenizer, part, limit)
        except BaseException as error:  # a regular expression that is too much for the Rust side panics
            if not (isinstance(error, _FAILURES) or is_panic(error)):
                raise
            raise EncodeError(_failure(tokenizer, start, len(part), error)) from error
        start += len(part)


_FAILURES = (UnicodeError, TypeError, ValueError, RuntimeError, OverflowError)


def _failure(tokenizer: Any, start: int, count: int, error: BaseException) -> str:
    where = f"one of the texts {start} to {start + count - 1} cannot be tokenised ({first_line(error)})"
    if isinstance(error, UnicodeError | TypeError):
        return f"{where}; is it valid Unicode?"
    return f"{where} by {tokenizer.name_or_path or 'this tokenizer'}; bring its tokenizer.json again, or leave it out"


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts that are given to the tokenizer together: bounded in number and in characters."""
    part: list[str] = []
    characters = 0
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise EncodeError(f"text {row} is {type(text).__name__}, not a string; convert it or leave it out")
        if part and (len(part) == _TEXTS_A_CALL or characters + len(text) > _CHARACTERS_A_CALL):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _fast(tokenizer: Any, part: list[str], limit: int) -> tuple[list[list[int]], int]:
    """The Rust tokenizers keep what truncation cut off as overflow."""
    found = tokenizer(
        part,
        truncation=True,
        max_length=limit,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    ids, overflows = found["input_ids"], [bool(encoding.overflowing) for encoding in found.encodings]
    if any(overflows):
        return ids, sum(overflows)
    # None was longer, or this version of the library drops what was cut off: those of full length are measured.
    full = [text for text, row in zip(part, ids, strict=True) if len(row) == limit]
    whole = tokenizer(full, padding=False, verbose=False)["input_ids"] if full else []
    return ids, sum(len(row) > limit for row in whole)


def _slow(tokenizer: Any, part: list[str], limit: int) -> tuple[list[list[int]], int]:
    """The Python tokenizers tell nothing of what they cut, so texts are measured first."""
    whole = tokenizer(part, padding=False, verbose=False)["input_ids"]
    long = [row for row, ids in enumerate(whole) if len(ids) > limit]
    for row in long:
        whole[row] = tokenizer(part[row], truncation=True, max_length=limit, verbose=False)["input_ids"]
    return whole, len(long)


def _filler(backbone: Backbone) -> int:
    tokenizer = backbone.tokenizer
    candidates = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next((int(i) for i in candidates if i is not None), backbone.pad_id)


def _check_ids(backbone: Backbone, ids: list[np.ndarray]) -> None:
    n_embeddings = backbone.structure.n_embeddings
    for row, text in enumerate(ids):
        if text.max() >= n_embeddings:
            raise BackboneError(
                f"the tokenizer of {backbone.name} yields the id {text.max()} (text {row}), but the model embeds "
                f"{n_embeddings} tokens; bring the tokenizer that belongs to the model"
            )
