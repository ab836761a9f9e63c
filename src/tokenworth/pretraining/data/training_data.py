"""From sources to what the loop learns from: tokenizer, shards, sequences, held-out documents."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.base.atomic_files import replacing_folder, writing
from tokenworth.base.locks import only_writer
from tokenworth.errors import PretrainError, SettingError, first_line
from tokenworth.pretraining.data.mixture import Blocks, Mixture
from tokenworth.pretraining.data.token_shards import Packed, pack, read_shards
from tokenworth.pretraining.held_out_loss import HeldOut, read_held_out
from tokenworth.pretraining.pretraining_settings import PretrainConfig
from tokenworth.tokenizers.document_stream import source_files, stream_documents
from tokenworth.tokenizers.source_settings import SourceConfig
from tokenworth.tokenizers.tokenizer_training import train_on_sources

_log = logging.getLogger("tokenworth")
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Material:
    """What a run learns from, is measured on, and saves beside the weights, in the folder RUN."""

    folder: Path
    mixture: Mixture
    held_out: Mapping[str, HeldOut]
    tokenizer: Any
    packed: Mapping[str, Packed]
    """Token shards by name."""


def make_tokenizer(config: PretrainConfig, folder: Path) -> Any:
    """Train the run's tokenizer into RUN/tokenizer, or load the one that is named.

    Raises:
        SettingError: it cannot be loaded, has no token that ends a text, or the sources have too few different pieces.
    """
    wanted = config.model if isinstance(config.model, str) else config.tokenizer
    if isinstance(wanted, str):
        return load_tokenizer(wanted)
    place = _home(config, folder) / "tokenizer"
    if not (place / "tokenizer.json").is_file():
        _log.info("training a tokenizer of %s pieces", f"{wanted.vocabulary:,}")
        _save(train_on_sources(wanted, config.sources), place)
    return load_tokenizer(str(place))


def _save(tokenizer: Any, place: Path) -> None:
    try:
        with replacing_folder(place) as part, quiet_transformers():
            tokenizer.save_pretrained(part)
    except Exception as error:  # the library in Rust raises Exception itself where there is no room
        reason = first_line(error)
        raise PretrainError(
            f"the tokenizer cannot be written to {place} ({reason}); make room and run the same command again"
        ) from error


def load_tokenizer(place: str) -> Any:
    """A fast tokenizer from a folder.

    Raises:
        SettingError: it cannot be loaded, or has no token that ends a text.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True, use_fast=True)
    except (OSError, ValueError, KeyError) as error:
        raise SettingError(f"no tokenizer can be loaded from {place} ({first_line(error)})") from error
    if tokenizer.eos_token_id is None:
        raise SettingError(f"the tokenizer in {place} has no token that ends a text (eos_token); documents need one")
    return tokenizer


def _home(config: PretrainConfig, folder: Path) -> Path:
    """Where tokenizer and shards lie: in the run's own folder, or in one that it shares with others."""
    return folder if config.shards is None else Path(config.shards)


@contextmanager
def alone_in_shards(config: PretrainConfig) -> Iterator[None]:
    """While a run prepares its shards in a shared folder no other one does.

    Raises:
        BusyError: another one does so now.
    """
    if config.shards is None:
        yield
        return
    with writing(config.shards) as place:
        sentence = f"another run is packing into {place} now; start this one when that has been done"
        with only_writer(place, sentence):
            yield


def pack_all(config: PretrainConfig, tokenizer: Any, folder: Path) -> dict[str, Packed]:
    """Token shards of every source, and of what is only evaluated on; by name, in RUN/shards or a shared folder."""
    sources = [(name, source, config.training.held_out_share) for name, source in config.sources.items()]
    sources += [(name, source, 1.0) for name, source in config.held_out.items()]
    return {
        name: pack(
            stream_documents(name, source),
            tokenizer,
            _home(config, folder) / "shards" / name,
            documents_from=_describe(name, source, share, config.seed),
            held_share=share,
            seed=config.seed,
            by_text=source.source is not None,  # a corpus repeats documents of sources with `repeats`
        )
        for name, source, share in sources
    }


def _describe(name: str, source: SourceConfig, share: float, seed: int) -> str:
    """What was packed, by content as far as a megabyte of each file tells."""
    chosen = () if source.source is None else (source.source,)
    digest = hashlib.sha256(repr((source.text, share, seed, *chosen)).encode())
    path = Path(source.path)
    for file in source_files(name, source) or ():
        with file.open("rb") as opened:
            digest.update(f"{file.name}:{file.stat().st_size}".encode() + opened.read(_HEAD_BYTES))
    return f"{path.name}, {digest.hexdigest()[:12]}"


def gather(config: PretrainConfig, tokenizer: Any, folder: Path) -> Material:
    """The material of a run; what is packed already is read."""
    packed = pack_all(config, tokenizer, folder)
    training, shards, seed = config.training, _home(config, folder) / "shards", config.seed
    blocks = {
        name: Blocks(name, *read_shards(shards / name, "train"), training.context, seed) for name in config.sources
    }
    parts = {
        name: read_held_out(shards / name, training.context, training.held_out_tokens)
        for name in (*config.sources, *config.held_out)
    }
    held_out = {name: part for name, part in parts.items() if part is not None}
    if not held_out:
        raise PretrainError(
            "no document is held out: raise held_out_share, or name documents under held_out, so that what was learnt "
            "can be measured"
        )
    return Material(folder, Mixture(blocks, config.sources, training, seed), held_out, tokenizer, packed)
