"""Questions to a model that may be answered by an error, made safe on a graphics card.

A model that is asked whether it takes some input may read outside a table.  The processor answers by an IndexError; a
card by an assert of the device, after which nothing can be computed in the process any more.  So indices are looked at
before an operator gets them; it waits for the card each time, which a short question can afford.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def bounded_indices(device: torch.device | str) -> Iterator[None]:
    """Within, an index outside its tensor is an IndexError on every device; on the processor it is one anyway."""
    if torch.device(device).type == "cpu":
        yield
    else:
        with BoundedIndices():  # type: ignore[no-untyped-call]
            yield


class BoundedIndices(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises IndexError before an operator reads or writes outside a tensor."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the indices, then go on."""
        for indices, size in _indices(func, args):
            if indices.is_meta or not indices.numel():
                continue
            low, high = torch.stack(indices.aminmax()).tolist()
            if low < -size or high >= size:
                raise IndexError(f"{func} reads outside a dimension of {size}")
        return func(*args, **(kwargs or {}))


def _indices(func: Any, args: Any) -> Iterator[tuple[Tensor, int]]:
    """The indices an operator is given, and the size of the dimension each is for."""
    aten, packet = torch.ops.aten, getattr(func, "overloadpacket", None)
    if packet is aten.embedding:
        yield args[1], args[0].shape[0]
    elif packet in (aten.gather, aten.index_select, aten.scatter, aten.scatter_, aten.scatter_add, aten.index_add):
        if args[0].dim():
            yield args[2], args[0].shape[args[1]]
    elif packet in (aten.index, aten.index_put, aten.index_put_):
        indices = [(index, args[0].shape[place]) for place, index in enumerate(args[1]) if index is not None]
        if all(index.dtype in (torch.int64, torch.int32) for index, _ in indices):  # masks cannot reach outside
            yield from indices
