"""Texts to token ids: once, never padded, every loss counted; and how many they are, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tokenworth.backbones import Backbone
from tokenworth.backbones.loading.tokenizer import tokenizer_of
from tokenworth.base.aliases import Long
from tokenworth.encode.long_texts import ReadLengths, Surround, mean_of_pieces, read_lengths, read_parts, surround_of
from tokenworth.errors import BackboneError, EncodeError, SettingError, first_line, is_panic

if TYPE_CHECKING:
    from tokenworth.tasks import Task

# The tokenizer's own record of a text is many times its ids: hold few at a time.
_TEXTS_A_CALL = 1024
_CHARACTERS_A_CALL = 4_000_000
_TEXTS_SAMPLED = 2000
T = TypeVar("T")
_FAILURES = (UnicodeError, TypeError, ValueError, RuntimeError, OverflowError)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token ids of N texts."""

    ids: list[np.ndarray]  # N arrays of int32, special tokens as the tokenizer yields them; at least one token each
    truncated: int
    """Texts that were longer than ``max_length`` and lost their end (or another part, or were cut into pieces)."""
    empty: int  # texts that gave no token of their own (special tokens do not count)
    one_token: int  # texts of one token in all, which add nothing to the context moments
    max_length: int  # longest text allowed, in tokens
    counts_N: np.ndarray | None = None
    """Where some text is read in several pieces: those of each, whose ids follow one another; N is then less than P."""

    def mean(self, values_P: np.ndarray) -> np.ndarray:
        """What was found of each array of ids (P, ...) as one row a text (N, ...): the mean over its pieces."""
        return mean_of_pieces(values_P, self.counts_N)

    @property
    def n_texts(self) -> int:
        """N."""
        return len(self.ids) if self.counts_N is None else len(self.counts_N)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, or of each piece: (N,) or (P,) int64."""
        return np.fromiter((len(ids) for ids in self.ids), dtype=np.int64, count=len(self.ids))

    @property
    def n_tokens(self) -> int:
        """Tokens of all texts."""
        return int(self.lengths.sum())


def tokenise(
    backbone: Backbone, texts: Sequence[str], *, max_length: int | None = None, long: Long = "first"
) -> Tokens:
    """Tokenise texts for a backbone, cut to ``max_length`` tokens (default: the longest the model takes).

    ``long`` says what is read of longer ones (`tokenworth.encode.long_texts`); with "first" it is what the tokenizer
    leaves of them, which is their beginning unless it says otherwise.  A text that yields no token at all becomes one
    token (beginning of text, else end, else padding, else 0), so that every text has a state.

    Raises:
        SettingError: max_length leaves no room for a token of the text, or exceeds the model's.
        EncodeError: a text is no string, or cannot be encoded; or special tokens stand elsewhere than at its ends, and
            it is to be cut in another way than first.
        BackboneError: the tokenizer yields ids the model has no embedding for.
    """
    limit, n_special = _limit(backbone, max_length)
    ids: list[np.ndarray] = []
    truncated, counts = 0, list[int]()
    for part in _parts(texts):
        rows, cut, pieces = _read(backbone, part, limit, long, first=len(counts))
        truncated += cut
        counts += pieces
        ids += [np.asarray(row, dtype=np.int64) for row in rows]
    empty = sum(len(row) <= n_special for row in ids)
    starts = (backbone.tokenizer.bos_token_id, backbone.tokenizer.eos_token_id)
    filler = np.array([next((int(i) for i in starts if i is not None), backbone.pad_id)], dtype=np.int32)
    ids = [row if len(row) else filler for row in ids]
    _check_ids(backbone, ids)
    ids = [row.astype(np.int32) for row in ids]
    counts_N = np.array(counts, dtype=np.int64) if len(ids) > len(counts) else None
    return Tokens(ids, truncated, empty, sum(len(row) == 1 for row in ids), limit, counts_N)


def token_lengths(model: str, task: Task, max_length: int | None = None, tokenizer: str | None = None) -> np.ndarray:
    """Tokens of each training text, then of each test text; of many texts a sample is tokenised and repeated.

    Of the model (folder, hub id or published name) only the tokenizer is read, or another ``tokenizer``; a
    ``max_length`` of None keeps what that says the model can read.  Raises BackboneError: it is not found.
    """
    return lengths_by_part(model, task, max_length, tokenizer, "first")[0].lengths_P


def lengths_by_part(
    model: str, task: Task, max_length: int | None, tokenizer: str | None, long: Long
) -> tuple[ReadLengths, ReadLengths, ReadLengths]:
    """The same of all texts, of training texts and of test texts; where they are read in pieces, those of each."""
    words, _ = tokenizer_of(model.removesuffix("@random"), tokenizer)
    texts = [*task.train.texts, *task.test.texts]
    chosen = np.random.default_rng(0).permutation(len(texts))[:_TEXTS_SAMPLED]
    lengths = [len(ids) for ids in words([texts[i] for i in chosen], verbose=False)["input_ids"]]
    limit = int(min(max_length or words.model_max_length, words.model_max_length, 10**9))
    n_special = int(words.num_special_tokens_to_add(pair=False))
    lengths_N, n_train = np.resize(np.array(lengths, dtype=np.int64), len(texts)), len(task.train.texts)
    parts = (lengths_N, lengths_N[:n_train], lengths_N[n_train:])
    whole, train, test = (read_lengths(part, limit, n_special, long) for part in parts)
    return whole, train, test


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


def _read(
    backbone: Backbone, part: list[str], limit: int, long: Long, *, first: int
) -> tuple[list[list[int]], int, list[int]]:
    """What is read of some texts, the ``first`` of which has that number: ids, how many were cut, pieces of each."""
    tokenizer = backbone.tokenizer
    if long == "first":
        call = partial(_fast if tokenizer.is_fast else _slow, tokenizer, part, limit)
        rows, cut = _guarded(call, tokenizer, first, len(part))
        return rows, cut, [1] * len(rows)
    whole = _guarded(partial(_whole, tokenizer, part), tokenizer, first, len(part))
    cut, surround, rows, counts = 0, None, list[list[int]](), list[int]()
    for text, row in zip(part, whole, strict=True):
        parts = [row]
        if len(row) > limit:
            surround = surround or _surround(backbone, text)
            parts, cut = read_parts(row, limit, surround, long), cut + 1
        rows += parts
        counts.append(len(parts))
    return rows, cut, counts


def _surround(backbone: Backbone, text: str) -> Surround:
    surround = surround_of(backbone.tokenizer, text)
    if surround is None:
        raise EncodeError(
            f"the tokenizer of {backbone.name} puts special tokens among those of a text, so that only the beginning "
            "of a long one can be read; choose long first"
        )
    return surround


def _guarded(call: Callable[[], T], tokenizer: Any, first: int, n: int) -> T:
    """What tokenises ``n`` texts from number ``first`` on, with a sentence where it cannot."""
    try:
        return call()
    except BaseException as error:  # a regular expression that is too much for the Rust side panics
        if not (isinstance(error, _FAILURES) or is_panic(error)):
            raise
        where = f"one of the texts {first} to {first + n - 1} cannot be tokenised ({first_line(error)})"
        advice = f" by {tokenizer.name_or_path or 'this tokenizer'}; bring its tokenizer.json again, or leave it out"
        if isinstance(error, UnicodeError | TypeError):
            advice = "; is it valid Unicode?"
        raise EncodeError(where + advice) from error


def _whole(tokenizer: Any, part: list[str]) -> list[list[int]]:
    """Nothing is cut."""
    rows: list[list[int]] = tokenizer(part, padding=False, truncation=False, verbose=False)["input_ids"]
    return rows


def _fast(tokenizer: Any, part: list[str], limit: int) -> tuple[list[list[int]], int]:
    """The Rust tokenizers keep what truncation cut off as overflow."""
    quiet = {"padding": False, "verbose": False}
    encoded = tokenizer(
        part, truncation=True, max_length=limit, return_attention_mask=False, return_token_type_ids=False, **quiet
    )
    ids, overflows = encoded["input_ids"], [bool(encoding.overflowing) for encoding in encoded.encodings]
    if any(overflows):
        return ids, sum(overflows)
    # None was longer, or this version of the library drops what was cut off: those of full length are measured.
    full = [text for text, row in zip(part, ids, strict=True) if len(row) == limit]
    whole = tokenizer(full, **quiet)["input_ids"] if full else []
    return ids, sum(len(row) > limit for row in whole)


def _slow(tokenizer: Any, part: list[str], limit: int) -> tuple[list[list[int]], int]:
    """The Python tokenizers tell nothing of what they cut, so texts are measured first."""
    whole = tokenizer(part, padding=False, verbose=False)["input_ids"]
    long = [row for row, ids in enumerate(whole) if len(ids) > limit]
    for row in long:
        whole[row] = tokenizer(part[row], truncation=True, max_length=limit, verbose=False)["input_ids"]
    return whole, len(long)


def _check_ids(backbone: Backbone, ids: list[np.ndarray]) -> None:
    n_embeddings = backbone.structure.n_embeddings
    for row, text in enumerate(ids):
        if text.max() >= n_embeddings:
            raise BackboneError(
                f"the tokenizer of {backbone.name} yields the id {text.max()} (text {row}), but the model embeds "
                f"{n_embeddings} tokens; bring the tokenizer that belongs to the model"
            )
