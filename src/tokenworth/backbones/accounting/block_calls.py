"""Which blocks a model calls, in which order, and which products each call makes: watched in a run without weights.

A block is a member of the list that is called once for every layer of the model's own record: the same member may be
called again and again (shared weights), and a layer may be spread over several lists (attention in one, the
feed-forward part in another).
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from tokenworth.backbones.accounting.matrix_products import Product, Products
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights
from tokenworth.errors import BackboneError

_SHORT = 12


class Call(NamedTuple):
    """One call of a module: its path, and the products from the first to before the last."""

    path: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """A forward pass over one text, as it was watched."""

    products: list[Product]
    calls: list[Call]
    """In the order in which they began, the model's own first."""
    output: Any

    def makers(self) -> list[int]:
        """The innermost call that makes each product."""
        innermost = [0] * len(self.products)
        for place, call in enumerate(self.calls):  # those inside come later
            innermost[call.start : call.stop] = [place] * (call.stop - call.start)
        return innermost

    @property
    def width(self) -> int:
        """D, of the states of the last layer."""
        return int(self.output.last_hidden_state.shape[-1])


def run_without_weights(model: Any, length: int) -> Run:
    """One text of T tokens through a base model on the meta device.  Raises BackboneError: it does not run there."""
    products = Products(model.parameters())
    begun: list[str] = []
    unfinished: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # by path, where in calls and products
    calls: dict[int, Call] = {}

    def enter(path: str, *_: Any) -> None:
        unfinished[path].append((len(begun), len(products.found)))
        begun.append(path)

    def leave(path: str, *_: Any) -> None:
        place, start = unfinished[path].pop()
        calls[place] = Call(path, start, len(products.found))

    caching = {} if model.config.is_encoder_decoder else {"use_cache": True}  # such an encoder names it, and refuses it
    with ExitStack() as hooks, torch.no_grad():
        for path, module in model.named_modules():
            hooks.enter_context(module.register_forward_pre_hook(partial(enter, path)))
            hooks.enter_context(module.register_forward_hook(partial(leave, path)))
        with without_weights(model), products:
            output = model(**text_inputs(model, length, **caching), output_hidden_states=True)
    return Run(products.found, [calls[place] for place in sorted(calls)], output)


def depth_and_width(model: nn.Module) -> tuple[int, int]:
    """Layers, and numbers of a state, of a base model on the meta device; its embedding may be narrower.
    Raises BackboneError: it does not run there, or has no list of blocks.
    """
    run = run_without_weights(model, _SHORT)
    return len(layers_of(model, run)), run.width


def layers_of(model: nn.Module, run: Run) -> list[list[Call]]:
    """The calls that make each layer, in their order.  Raises BackboneError: the model has no list of blocks."""
    lists = {path: part for path, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part)}
    if not lists:
        raise BackboneError(f"{type(model).__name__} has no stack of blocks, so its layers cannot be counted")
    recorded = len(run.output.get("hidden_states") or ()) - 1
    called = {path: [call for call in run.calls if _parent(call.path) == path] for path in lists}
    fitting = [path for path, calls in called.items() if len(calls) == recorded]
    if not fitting:
        largest = max(lists, key=lambda path: sum(weights.numel() for weights in lists[path].parameters()))
        return [_inside(f"{largest}.{i}", run.calls) for i in range(len(lists[largest]))]
    chief = max(fitting, key=lambda path: sum(call.stop - call.start for call in called[path]))
    beside = [path for path in fitting if _parent(path) == _parent(chief) and len(lists[path]) == len(lists[chief])]
    return [[called[path][i] for path in beside] for i in range(recorded)]


def _inside(path: str, calls: list[Call]) -> list[Call]:
    """The outermost calls at or below a path."""
    below = [call for call in calls if call.path == path or call.path.startswith(f"{path}.")]
    names = {call.path for call in below}
    return [call for call in below if not any(call.path.startswith(f"{name}.") for name in names)]


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
