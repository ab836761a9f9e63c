"""Tokenizers: the one beside a model, one named apart, or plain bytes."""

from __future__ import annotations

from typing import Any

from tokenworth.backbones.catalog import find_published
from tokenworth.backbones.files import TOKENIZER_PATTERNS, Source, find_source, is_local
from tokenworth.errors import BackboneError, first_line

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

    Raises:
        BackboneError: a local folder without a tokenizer, or one named apart that is not there.
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

    Raises:
        BackboneError: it is not there and cannot be fetched.
    """
    return None if tokenizer == BYTES else find_source(tokenizer, config=False)


def read_tokenizer(source: Source) -> Any:
    """The tokenizer that lies beside the model, if it has a vocabulary."""
    from transformers import AutoTokenizer

    if not source.matching(TOKENIZER_PATTERNS):
        raise BackboneError(f"{source} has no tokenizer; put its tokenizer.json into {source.folder}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the Rust side raises plain Exception on a damaged file
        raise BackboneError(
            f"the tokenizer of {source} cannot be read ({first_line(error)}); "
            f"put its tokenizer.json into {source.folder}"
        ) from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise BackboneError(f"the tokenizer of {source} has no vocabulary; put its tokenizer.json into {source.folder}")
    return tokenizer
