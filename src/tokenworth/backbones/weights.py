"""Which files hold the weights, and whether they are whole, before anything is loaded."""

import json
from pathlib import Path

from tokenworth.backbones.files import Source
from tokenworth.errors import BackboneError

_SAFE = ("model.safetensors", "model.safetensors.index.json")
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def weight_files(source: Source, *, allow_pickle: bool = False) -> tuple[list[Path], bool]:
    """The files that hold a model's weights, fetched and checked, and whether they are safetensors.

    Raises:
        BackboneError: there are none, one is missing or cut short, or they are pickles and the flag was not given.
    """
    source.fetch((_SAFE[0], "model-*.safetensors", _SAFE[1]))
    files = _listed(source.folder, *_SAFE)
    if files:
        for path in files:
            _check_safetensors(path)
        return files, True
    if allow_pickle:
        source.fetch((_PICKLED[0], "pytorch_model-*.bin", _PICKLED[1]))
        files = _listed(source.folder, *_PICKLED)
    if not files:
        raise BackboneError(_without_weights(source, allow_pickle))
    return files, False


def _listed(folder: Path, single: str, index: str) -> list[Path]:
    """The one file, or the shards an index names; [] where there is neither."""
    if (folder / single).is_file():
        return [folder / single]
    if not (folder / index).is_file():
        return []
    try:
        names = sorted(set(json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise BackboneError(f"{folder / index} cannot be read as a list of weight files; fetch it again") from error
    for name in names:
        if not (folder / name).is_file():
            raise BackboneError(f"{folder / name} is missing, though {index} names it; fetch it into that folder")
    return [folder / name for name in names]


def _check_safetensors(path: Path) -> None:
    """The header states every tensor's place; opening compares that with the length of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise BackboneError(
            f"{path} is corrupted or cut short ({path.stat().st_size:,} bytes: {error}); fetch it again"
        ) from error


def _without_weights(source: Source, allow_pickle: bool) -> str:
    pickled = source.matching(("pytorch_model*.bin", "*.pt", "*.pth"))
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
    return f"{source} has no weights; put model.safetensors into {source.folder}, or use {source.name}@random"
