"""Matrix products of a run, one by one: how many FLOPs each takes, and whether a weight is in it.

PyTorch's own formulas, and those of the grouped products that mixtures of experts are computed with: a token meets the
experts it is sent to, so S rows of a grouped product (tokens times experts a token) cost 2 S K N however many experts
there are.  A product that the library writes as a loop over experts, or over gathered weights, gives the same sum.

Axes: S rows, K inner, N columns, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Formula = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Product:
    """One matrix product or convolution."""

    flops: int
    of_weights: bool
    """Whether an operand is a weight, or a view of one."""


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the products of what runs while it is active, in their order.

    Args:
        weights: parameters; a product with one of them is a product of weights.
    """

    def __init__(self, weights: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._formulas = {**flop_registry, **grouped_formulas()}
        self._weights = {_storage_of(tensor) for tensor in weights}
        self.found: list[Product] = []

    @property
    def flops(self) -> int:
        """Of all products so far."""
        return sum(product.flops for product in self.found)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one operation, and note it if it is a product."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = self._formulas.get(func._overloadpacket)
        if formula is not None:
            operands = (leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
            of_weights = any(_storage_of(tensor) in self._weights for tensor in operands)
            self.found.append(Product(int(formula(*args, **kwargs, out_val=result)), of_weights))
        return result


def _storage_of(tensor: Tensor) -> int:
    """What tells apart the memory of tensors, also of those without memory."""
    return int(tensor.untyped_storage()._cdata)


def grouped_formulas() -> dict[Any, Formula]:
    """FLOPs of grouped products: PyTorch's, and the library's own where PyTorch's cannot be used."""
    library, formulas = torch.ops.transformers, {torch.ops.aten._grouped_mm: _grouped}
    for name, products in {"grouped_mm_fallback": 1, "grouped_mm_fallback_backward": 2}.items():
        if hasattr(library, name):  # which of them there are depends on the library's version
            formulas[getattr(library, name)] = partial(_grouped, products=products)
    return formulas


def _grouped(a: Tensor, b: Tensor, *_more: Any, products: int = 1, **_named: Any) -> int:
    """Each row, column or place of the grouped axis belongs to one group; with two batches of matrices, all to all."""
    groups = a.shape[0] if a.dim() == b.dim() == 3 else 1
    return 2 * products * groups * a.shape[-2] * a.shape[-1] * b.shape[-1]
