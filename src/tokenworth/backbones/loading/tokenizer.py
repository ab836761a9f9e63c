"""Tokenizers: the one beside a model, one named apart, or plain bytes."""

from __future__ import annotations

from typing import Any

from tokenworth.backbones.catalog import find_published
from tokenworth.backbones.loading.configuration_check import shortened
from tokenworth.backbones.loading.normaliser_growth import MOST_GROWTH, growth_of
from tokenworth.backbones.loading.sources import TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.errors import BackboneError, first_line, is_panic

_PROBE = "One short text, with a word or 2."

BYTES = "bytes"
"""Name of the tokenizer that needs no file: a text's UTF-8 bytes are its ids."""


def bytes_tokenizer() -> Any:
    """A tokenizer of 256 tokens, one a byte, without special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = _byte_symbols()
    inner = Tokenizer(models.BPE(vocab={symbol: byte for byte, symbol in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False)


def _byte_symbols() -> list[str]:
    """The printable character that byte-level tokenizers write for each byte (GPT-2's table)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    moved = {byte: 256 + place for place, byte in enumerate(others)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


def tokenizer_of(name: str, tokenizer: str | None = None) -> tuple[Any, str | None]:
    """A backbone's tokenizer without its weights, and why it is that of bytes where its own cannot be had.
    Raises BackboneError: a local folder without a tokenizer, or one named apart that is not there.
    """
    entry = None if is_local(name) else find_published(name)
    try:
        source = tokenizer_source(tokenizer or (entry.tokenizer if entry else name))
    except BackboneError as error:
        if tokenizer is not None or entry is None:
            raise
        return bytes_tokenizer(), str(error)
    return (bytes_tokenizer() if source is None else read_tokenizer(source)), None


def tokenizer_source(tokenizer: str) -> Source | None:
    """Where a tokenizer named apart lies; None for the one of bytes.
    Raises BackboneError: it is not there and cannot be fetched.
    """
    return None if tokenizer == BYTES else find_source(tokenizer, config=False)


def read_tokenizer(source: Source) -> Any:
    """The tokenizer that lies beside the model, if it has a vocabulary; of an adapter its own, else its base's.
    Raises BackboneError: there is none, it is damaged, or it would make a text many times as long.
    """
    from transformers import AutoTokenizer

    source = tokenizer_place(source)
    if not source.matching(TOKENIZER_PATTERNS):
        raise BackboneError(f"{source} has no tokenizer; {_remedy(source)}")
    growth = growth_of(source.folder / "tokenizer.json")
    if growth > MOST_GROWTH:
        raise BackboneError(
            f"the tokenizer of {source} makes texts up to {growth:.3g} times as long before it splits them (the limit "
            f"is {MOST_GROWTH}); {_remedy(source)}"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        tokenizer(_PROBE, verbose=False)
        n_tokens, n_special = len(tokenizer), len(tokenizer.all_special_ids)
    except BaseException as error:  # the Rust side raises plain Exception on a damaged file, and panics beside it
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise BackboneError(
            f"the tokenizer of {source} cannot be read ({shortened(first_line(error))}); {_remedy(source)}"
        ) from error
    if n_tokens <= n_special:
        raise BackboneError(f"the tokenizer of {source} has no vocabulary; {_remedy(source)}")
    return tokenizer


def tokenizer_place(source: Source) -> Source:
    """Where a model's tokenizer lies: beside an adapter, where it brings one, else beside the model."""
    if source.base is None or source.matching(("tokenizer.json", "*.model", "vocab*", "*.tiktoken", "tekken.json")):
        return source
    return source.base


def _remedy(source: Source) -> str:
    return (
        f"put its tokenizer.json into {source.folder}, or name another tokenizer (--tokenizer of assess, rank and "
        "adapt; bytes needs no file)"
    )
