"""How many layers' context moments fit into memory at once, and so how many passes are needed."""

from __future__ import annotations

import torch

from tokenworth.base.machine import free_on

_BYTES_HELD, _BYTES_PASSING = 16, 24
"""Per D^2: C0 and C1 of each layer in float64; the products of a batch, of one layer at a time."""
_SHARE_OF_FREE = 0.6


def layer_groups(layers: tuple[int, ...], width: int, memory: int) -> list[tuple[int, ...]]:
    """Layers in as few equal groups as keep their moments within some bytes; one layer at least is in each."""
    at_once = max(1, int((memory / width**2 - _BYTES_PASSING) // _BYTES_HELD))
    n_groups = -(-len(layers) // at_once)
    size = -(-len(layers) // n_groups)
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def moment_bytes(n_layers: int, width: int) -> int:
    """Bytes that the context moments of some layers take while batches are added."""
    return (_BYTES_HELD * n_layers + _BYTES_PASSING) * width**2


def moment_memory(device: torch.device) -> int:
    """Bytes that moments may take on a device: a share of what is free there now."""
    return int(_SHARE_OF_FREE * free_on(device))
