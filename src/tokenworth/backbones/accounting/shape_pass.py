"""A forward pass in which weights have shapes and no numbers, while everything that does not depend on them is real.

A model on the meta device often cannot run: it looks at its mask, its positions or its token ids on the way, and there
are no numbers to look at.  None of these depends on a weight.  So whole numbers and truth values stay on the processor,
where they are computed, and only what meets a weight loses its values:

    ids, positions, masks (cpu)  --+
                                   +--  meta wherever both meet  -->  states (meta)
    weights (meta)               --+

Products of the experts of a mixture run in any number format, which PyTorch's own shape functions do not allow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tokenworth.errors import BackboneError, first_line

_META = torch.device("meta")
_MOST_NUMBERS = 2**24


class Shapes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, operations on weights without numbers are asked for shapes alone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation on the device that its operands allow."""
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        without = [tensor.is_meta for tensor in tensors]
        if any(without):
            if func._overloadpacket is torch.ops.aten._grouped_mm:
                return grouped_shape(*args, **kwargs)
            if not all(without):
                args, kwargs = tree_map(_without_numbers, (args, kwargs))
        elif kwargs.get("device") == _META:
            # Of what is new, the shape is asked first: a table for a million positions need not exist.
            like = tensors[0] if tensors else func(*args, **kwargs)
            kwargs["device"] = torch.device("cpu") if tensors or _is_looked_at(like) else _META
        return func(*args, **kwargs)


def _without_numbers(value: Any) -> Any:
    return torch.empty_like(value, device=_META) if isinstance(value, Tensor) and not value.is_meta else value


def _is_looked_at(new: Tensor) -> bool:
    """Whole numbers and truth values may be, and single numbers."""
    return new.numel() <= (1 if new.is_floating_point() or new.is_complex() else _MOST_NUMBERS)


def grouped_shape(a: Tensor, b: Tensor, offs: Tensor | None = None, *_more: Any, **_named: Any) -> Tensor:
    """What a grouped product gives, of K numbers each: (S, N) from rows (S, K) in G groups and (G, K, N), or from
    (G, S, K) and columns (K, N) in G groups; (G, S, N) from two batches of matrices, or from two matrices whose inner
    axis is grouped.  `offs` (G,) says where the groups end.
    """
    if a.dim() == b.dim() == 2:
        assert offs is not None, "the inner axis is grouped"
        shape = (offs.shape[0], a.shape[0], b.shape[1])
    elif a.dim() == b.dim():
        shape = (a.shape[0], a.shape[1], b.shape[2])
    else:
        shape = (a.shape[-2], b.shape[-1])  # type: ignore[assignment]
    return torch.empty(shape, dtype=a.dtype, device=_META)


@contextmanager
def without_weights(model: nn.Module) -> Iterator[None]:
    """Run a model on the meta device, attention written out.  Raises BackboneError: it looks at numbers of weights."""
    try:
        with Shapes(), sdpa_kernel(SDPBackend.MATH):
            yield
    except (RuntimeError, ValueError, NotImplementedError, IndexError, TypeError, AttributeError) as error:
        raise BackboneError(
            f"{type(model).__name__} does not run without weights ({first_line(error)}), so its cost cannot be counted"
        ) from error


def text_inputs(model: nn.Module, length: int, *, n_texts: int = 1, **wanted: Any) -> dict[str, Any]:
    """Arguments of the forward pass for texts of T tokens: real ids, a real mask, and those of `wanted` it names."""
    parameters = inspect.signature(model.forward).parameters
    mask = torch.ones(n_texts, length, dtype=torch.long)
    more = {"attention_mask": mask, **wanted}
    return {
        "input_ids": torch.full_like(mask, 2),
        **{name: value for name, value in more.items() if name in parameters},
    }
