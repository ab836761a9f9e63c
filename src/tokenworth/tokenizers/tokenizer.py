"""Tokenizers over bytes: BPE or Unigram, so that no text is unknown and every byte string comes back as it was.

Both start from the 256 bytes (byte fallback by construction) and never normalise.  Training is the tokenizers
library's; what is saved is a plain transformers folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from tokenworth.base.keywords import known_keywords
from tokenworth.errors import SettingError
from tokenworth.settings import Bounds, Count, Settings, check_fields

SEPARATOR = "<|endoftext|>"
"""Stands before every document and behind the last one; a tokenizer does not add it to a text by itself."""
_BYTES = 256
MOST_TOKENS = 2**21
"""The trainers set memory aside for every token that is asked for; the largest vocabularies have 2^18."""
_UNSEEN_STEP = 1e-4
_DECIMALS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerConfig(Settings):
    """What a tokenizer is."""

    kind: Literal["bpe", "unigram"] = "bpe"
    """How pieces are found: by merging pairs, or by pruning a unigram model."""
    vocabulary: Annotated[int, Bounds(least=1, most=MOST_TOKENS)] = 8192
    """Tokens, special ones among them."""
    split_digits: bool = True
    """Every digit a token of its own, so that numbers are written by place."""
    special: tuple[str, ...] = (SEPARATOR,)
    """The first one begins and ends documents."""
    max_length: Count = 1_000_000
    """Tokens the saved tokenizer says a model can read."""

    def __post_init__(self) -> None:
        check_fields(self)
        least = _BYTES + len(self.special)
        if self.vocabulary < least:
            raise SettingError(f"a vocabulary of {self.vocabulary} is too small: bytes and special tokens take {least}")
        if not self.special:
            raise SettingError("a tokenizer needs one special token at least, to stand between documents")


@known_keywords
def train_tokenizer(documents: Iterable[str], config: TokenizerConfig | None = None) -> Any:
    """A fast transformers tokenizer trained on documents; the same documents in the same order give the same one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    config = config or TokenizerConfig()
    shared: dict[str, Any] = {
        "vocab_size": config.vocabulary,
        "show_progress": False,
        "special_tokens": list(config.special),
        "initial_alphabet": pre_tokenizers.ByteLevel.alphabet(),
    }
    tokenizer: Any = Tokenizer(models.BPE())
    trainer: Any = trainers.BpeTrainer(**shared)
    if config.kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token=config.special[0], **shared)
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if config.split_digits else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, by_bytes]) if digits else by_bytes
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(iter(documents), trainer)
    if config.kind == "unigram":
        tokenizer.model = _in_order(tokenizer, len(config.special))
    names = {"bos_token": config.special[0], "eos_token": config.special[0], "clean_up_tokenization_spaces": False}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=config.max_length, **names)


def _in_order(trained: Any, special: int) -> Any:
    """The Unigram model in an order of its own.

    The library sums in the order of a hash map that differs between runs: scores that should be equal differ in their
    last bits, which rounding takes away.  Bytes it never saw get falling scores, .0001 apart, in that order; here they
    get them in the order of their letters.
    """
    from tokenizers import models

    vocabulary = [(piece, round(score, _DECIMALS)) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]
    score_of = dict(vocabulary[special:])
    letters = sorted((piece for piece in score_of if len(piece) == 1), key=lambda piece: -score_of[piece])
    gaps = [score_of[before] - score_of[after] for before, after in pairwise(letters)]
    unseen = len(letters) - 1
    while unseen > 0 and abs(gaps[unseen - 1] - _UNSEEN_STEP) < _UNSEEN_STEP / 100:
        unseen -= 1
    falling = [score_of[piece] for piece in letters[unseen:]]
    score_of |= dict(zip(sorted(letters[unseen:]), falling, strict=True))
    rest = sorted(score_of.items(), key=lambda piece: (-piece[1], piece[0]))
    return models.Unigram([*vocabulary[:special], *rest], unk_id=0)


class ByteCodec:
    """Any byte string to token ids and back, for a tokenizer of `train_tokenizer`.

    What is UTF-8 is tokenised as text; every other byte is the token of that byte.
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers.pre_tokenizers import ByteLevel

        self.tokenizer = tokenizer
        letters = _letters()
        self._byte_of = {letter: byte for byte, letter in letters.items()}
        assert set(self._byte_of) == set(ByteLevel.alphabet()), "the library's alphabet is the known one"
        vocabulary = tokenizer.get_vocab()
        self._single = {byte: vocabulary[letter] for byte, letter in letters.items()}
        self._special = {
            tokenizer.convert_tokens_to_ids(piece): piece.encode() for piece in tokenizer.all_special_tokens
        }

    def encode(self, data: bytes) -> list[int]:
        """Token ids; special tokens written out in the data are not taken for special ones."""
        as_text = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        ids: list[int] = []
        for text, stray in _runs(data):
            ids += self.tokenizer(text, **as_text)["input_ids"]
            ids += [self._single[byte] for byte in stray]
        return ids

    def decode(self, ids: Sequence[int]) -> bytes:
        """The bytes of token ids."""
        letters = self.tokenizer.convert_ids_to_tokens
        return b"".join(
            self._special.get(i) or bytes(self._byte_of[letter] for letter in letters(i)) for i in map(int, ids)
        )


def _letters() -> dict[int, str]:
    """The letter of each byte in byte-level vocabularies: printable Latin-1 is itself, the rest stands from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(_BYTES) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(_BYTES + i) for i, byte in enumerate(others)}


def _runs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Runs of UTF-8, each with the bytes behind it that are none."""
    at = 0
    while at < len(data):
        try:
            text, end = data[at:].decode(), len(data)
            yield text, b""
        except UnicodeDecodeError as error:
            begin, end = at + error.start, at + error.end
            yield data[at:begin].decode(), data[begin:end]
        at = end


def fertility(tokenizer: Any, texts: Sequence[str]) -> dict[str, float]:
    """Tokens a word (split at white space), bytes a token, and texts and tokens they were counted on."""
    ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    tokens, words = sum(map(len, ids)), sum(len(text.split()) for text in texts)
    size = sum(len(text.encode()) for text in texts)
    return {
        "texts": len(texts),
        "tokens": tokens,
        "tokens_per_word": tokens / max(words, 1),
        "bytes_per_token": size / max(tokens, 1),
    }
