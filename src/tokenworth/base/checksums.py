"""Checksums of models and files: xxh3, which reads as fast as memory gives (about 10 GB/s), 128 bits as hex.

They notice accidents and changes, not an attacker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_CHUNK_BYTES = 1 << 24
_NAMES_ONLY = frozenset({"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype"})
"""Entries of a configuration or a module that leave the states what they are (the precision is asked elsewhere)."""


def model_checksum(model: nn.Module) -> str:
    """What a forward pass depends on, as it is in memory: a model that was merged, pruned or trained on is another.

    Goes in order over the modules (name, class, plain attributes), their parameters and buffers (name, shape, format,
    every bit) and the configuration.  Weights that are sharded over processes are gathered one at a time, so that all
    processes must call this; weights on the meta device (offloaded to disk) count by their shapes.

    Cost: one read of the weights (135 M parameters in float32 on one core: 0.06 s).
    """
    digest = xxhash.xxh3_128()
    digest.update(json.dumps(_configuration(model), sort_keys=True, default=str).encode())
    for name, module in model.named_modules():
        digest.update(json.dumps([name, _kind(module), _attributes(module)], default=str).encode())
    for name, tensor in _tensors(model):
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        digest.update(json.dumps([name, list(whole.shape), str(whole.dtype)]).encode())
        _add(digest, whole)
    return digest.hexdigest()


def tensors_checksum(tensors: Mapping[str, Tensor]) -> str:
    """Names, shapes, formats and bits of tensors."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        _add(digest, tensor)
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """The bytes of a file.  OSError: it cannot be read."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def has_hooks(model: nn.Module) -> bool:
    """Whether somebody's function changes what the modules do, in a way that no checksum can tell."""
    return any(
        not str(getattr(hook, "__module__", "")).startswith(("torch.", "transformers.", "accelerate."))
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )


def _add(digest: xxhash.xxh3_128, tensor: Tensor) -> None:
    if tensor.device.type != "meta" and tensor.numel():
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(bits.numpy().data)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers (those that are not saved, too), and tensors that are plain attributes of modules."""
    yield from model.named_parameters()
    yield from model.named_buffers()
    for name, module in model.named_modules():
        yield from ((f"{name}.{key}", value) for key, value in vars(module).items() if isinstance(value, Tensor))


def _kind(module: nn.Module) -> str:
    """The class, without what sharding puts before it."""
    kinds = (kind for kind in type(module).__mro__ if not kind.__module__.startswith("torch.distributed"))
    return next(kinds).__qualname__


def _attributes(module: nn.Module) -> list[tuple[str, Any]]:
    """Numbers, words and functions that a module holds: an epsilon, a scale, an activation."""
    public = (item for item in vars(module).items() if not item[0].startswith("_") and item[0] not in _NAMES_ONLY)
    shown = ((name, _plain(value)) for name, value in public)
    return sorted((name, value) for name, value in shown if value is not None)


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, list | tuple) and all(isinstance(inner, bool | int | float | str) for inner in value):
        return repr(value)
    return getattr(value, "__qualname__", None)


def _configuration(model: nn.Module) -> Any:
    config = getattr(model, "config", None)
    entries = {} if config is None else config.to_dict()
    return _without_names({**entries, "attention": getattr(config, "_attn_implementation", None)})


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_names(inner) for key, inner in value.items() if key not in _NAMES_ONLY}
    return value
