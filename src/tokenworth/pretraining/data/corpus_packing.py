"""Token shards of a finished corpus, ready for runs that name them: the packer of a run, without the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenworth.base.atomic_files import write_text, writing
from tokenworth.errors import SettingError
from tokenworth.pretraining.data.token_shards import Packed
from tokenworth.pretraining.data.training_data import alone_in_shards, load_tokenizer, make_tokenizer, pack_all
from tokenworth.pretraining.pretraining_settings import read_config
from tokenworth.settings import make
from tokenworth.tokenizers.tokenizer import TokenizerConfig

_MADE = "made.json"


def check_tokenizer(wanted: str | Mapping[str, Any]) -> None:
    """Refuse a tokenizer that could not be made or loaded, before hours are spent on the documents.

    Raises:
        SettingError: an unknown setting (with the nearest known one), a value that does not fit, or no such tokenizer.
    """
    if isinstance(wanted, str):
        load_tokenizer(wanted)
    else:
        make(TokenizerConfig, wanted, "a tokenizer has", where="pack: tokenizer: ")


def pack_corpus(out: str | Path) -> dict[str, Packed]:
    """Tokenizer and token shards of a corpus, by source; what an earlier call has made of the same is read.

    The pretrain.yaml that `tokenworth corpus build` wrote into the folder names sources, tokenizer and OUT/tokens.

    Raises:
        SettingError: there is no such corpus, or its tokenizer cannot be had.
        PretrainError: no room; what is whole stays.
        BusyError: another process packs there now.
    """
    place = Path(out)
    try:
        key = json.loads((place / "corpus.json").read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError) as error:
        raise SettingError(f"{place} holds no finished corpus; make it with tokenworth corpus build") from error
    config = read_config(place / "pretrain.yaml")
    if config.shards is None:
        raise SettingError(
            f"{place / 'pretrain.yaml'} names no shards; write 'pack: {{tokenizer: ...}}' in the corpus file"
        )
    facts = {"corpus": key, "tokenizer": config.asdict()["tokenizer"], "seed": config.seed}
    with alone_in_shards(config):
        _make_way(Path(config.shards), {**facts, "held_out_share": config.training.held_out_share})
        return pack_all(config, make_tokenizer(config, place), place)


def _make_way(shards: Path, facts: Mapping[str, Any]) -> None:
    """Remove tokenizer and shards that were made here of other texts or with other settings; nothing else's."""
    wanted, record = json.loads(json.dumps(facts)), shards / _MADE
    before = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None
    if before == wanted:
        return
    for old in () if before is None else shards.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    with writing(shards):
        write_text(record, json.dumps(wanted, indent=1))
