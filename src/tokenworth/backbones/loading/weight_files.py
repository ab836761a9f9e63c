"""Which files hold the weights, and whether they are whole, before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

from tokenworth.backbones.loading.configuration_check import read_stated, shorten
from tokenworth.backbones.loading.gguf_file import SUFFIX
from tokenworth.backbones.loading.gguf_header import read_header
from tokenworth.backbones.loading.sources import WEIGHTS, Source
from tokenworth.errors import BackboneError

_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_LONGEST_NAME = 255
_OTHERS = ("*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.safetensors", "*.bin")
PICKLES = "TOKENWORTH_ALLOW_PICKLE"
"""Environment variable that allows pickles in this process and in those it starts; "1" or nothing."""


@contextmanager
def pickles_allowed() -> Iterator[None]:
    """Within, here and in processes started meanwhile, weights are read from pickles too (tensors only, by torch)."""
    before = os.environ.get(PICKLES, "")
    os.environ[PICKLES] = "1"
    try:
        yield
    finally:
        os.environ[PICKLES] = before


def is_pickle_allowed(allow_pickle: bool) -> bool:
    """Whether it was allowed for this model, or for all."""
    return allow_pickle or os.environ.get(PICKLES) == "1"


def weight_files(source: Source, *, allow_pickle: bool = False) -> tuple[list[Path], bool]:
    """The files that hold a model's weights, fetched and checked, and whether they need no pickle.
    Raises BackboneError: there are none, one is missing or cut short, or they are pickles and the flag was not given.
    """
    if source.base is not None:
        raise BackboneError(
            f"{source} is an adapter for {source.base}; merge it into that model first (peft's merge_and_unload) and "
            "give the merged folder"
        )
    if source.gguf is not None:
        read_header(source.gguf)
        return [source.gguf], True
    allow_pickle = is_pickle_allowed(allow_pickle)
    source.fetch(WEIGHTS)
    if files := _files_or_shards(source.folder, *_SAFE):
        for path in files:
            check_safetensors(path)
        return files, True
    if allow_pickle:
        source.fetch((_PICKLED[0], "pytorch_model-*.bin", _PICKLED[1]))
        files = _files_or_shards(source.folder, *_PICKLED)
    if not files:
        raise BackboneError(_without_weights(source, allow_pickle))
    return files, False


def stored_sizes(files: Iterable[Path]) -> dict[str, int]:
    """Numbers by name of tensor; of a pickle, which is not opened, its bytes (at least as many) by its own name."""
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                sizes |= {name: prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        elif path.suffix == SUFFIX:
            sizes |= read_header(path).sizes
        else:
            sizes[path.name] = path.stat().st_size
    return sizes


def check_safetensors(path: Path) -> None:
    """Raises BackboneError: the places of tensors, as the header states them, do not fit the length of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise BackboneError(
            f"{path} is corrupted or cut short ({path.stat().st_size:,} bytes: {shorten(str(error))}); fetch it again"
        ) from error


def _files_or_shards(folder: Path, single: str, index: str) -> list[Path]:
    """The single file, or the shards an index names; [] where there is neither."""
    if (folder / single).is_file():
        return [folder / single]
    if not (folder / index).is_file():
        return []
    places = read_stated(folder / index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(_is_file_name(name) for name in places.values()):
        raise BackboneError(
            f"{folder / index} names no weight files (its weight_map gives each tensor the name of a file beside it); "
            "fetch it again"
        )
    names = sorted(set(places.values()))
    for name in names:
        if not (folder / name).is_file():
            raise BackboneError(
                f"{folder / shorten(name)} is missing, though {index} names it; fetch it into that folder"
            )
    return [folder / name for name in names]


def _is_file_name(name: object) -> bool:
    """A name without a folder: an index may not reach outside."""
    if not isinstance(name, str) or name in {"", ".", ".."} or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return False
    return not set(name) & {"/", "\\", "\0"}


def _without_weights(source: Source, allow_pickle: bool) -> str:
    pickled = source.matching(("pytorch_model*.bin",))
    if pickled and not allow_pickle:
        return (
            f"{source} has its weights only as {pickled[0].name}, a pickle file, which can run code when it is read; "
            "pass --allow-pickle if you trust it, or bring model.safetensors"
        )
    if source.hub_id and not allow_pickle:
        return (
            f"{source} has no model.safetensors; if its weights are pytorch_model.bin and you trust them, "
            "pass --allow-pickle"
        )
    if shards := source.matching(("model-*.safetensors", "pytorch_model-*.bin")):
        index = _SAFE[1] if shards[0].suffix == ".safetensors" else _PICKLED[1]
        return f"{source} has shards such as {shards[0].name} but no {index}, which names them; fetch it too"
    if others := source.matching(_OTHERS):
        return (
            f"{source} has its weights as {others[0].name}, which is not read; save them with transformers' "
            f"save_pretrained, which writes model.safetensors, or use {source.name}@random"
        )
    return f"{source} has no weights; put model.safetensors into {source.folder}, or use {source.name}@random"
