"""Which blocks a model calls, in which order, and which products each call makes: watched in a run without weights.

A block is a member of the list that is called once for every layer of the model's own record: the same member may be
called again and again (shared weights), and a layer may be spread over several lists (attention in one, the
feed-forward part in another).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.accounting.matrix_products import Product, Products
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights
from tokenworth.errors import BackboneError

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Call:
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
        made_by = [0] * len(self.products)
        for place, call in enumerate(self.calls):  # those inside come later
            made_by[call.start : call.stop] = [place] * (call.stop - call.start)
        return made_by


@dataclass(slots=True)
class _Watch:
    """Hooks on every module."""

    products: Products
    order: list[str] = field(default_factory=list)
    open: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By path: when each unfinished call began, in calls and in products."""
    calls: dict[int, Call] = field(default_factory=dict)

    def _enter(self, path: str, *_: Any) -> None:
        self.open.setdefault(path, []).append((len(self.order), len(self.products.found)))
        self.order.append(path)

    def _leave(self, path: str, *_: Any) -> None:
        place, start = self.open[path].pop()
        self.calls[place] = Call(path, start, len(self.products.found))

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        handles = []
        for path, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(partial(self._enter, path)))
            handles.append(module.register_forward_hook(partial(self._leave, path)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def run_without_weights(model: nn.Module, length: int) -> Run:
    """One text of T tokens through a base model on the meta device.  Raises BackboneError: it does not run there."""
    products = Products(model.parameters())
    watch = _Watch(products)
    inputs = text_inputs(model, length, **_caching(model))
    with torch.no_grad(), watch.on(model), without_weights(model), products:
        output = model(**inputs, output_hidden_states=True)
    return Run(products.found, [watch.calls[place] for place in sorted(watch.calls)], output)


def _caching(model: Any) -> dict[str, bool]:
    """The encoder of a pair names the argument, and refuses it."""
    return {} if model.config.is_encoder_decoder else {"use_cache": True}


def depth_and_width(model: nn.Module) -> tuple[int, int]:
    """Layers, and numbers of a state, of a base model on the meta device; its embedding may be narrower.
    Raises BackboneError: it does not run there, or has no list of blocks.
    """
    run = run_without_weights(model, _SHORT)
    return len(layers_of(model, run)), width_of(run)


def width_of(run: Run) -> int:
    """D, of the states of the last layer."""
    return int(run.output.last_hidden_state.shape[-1])


def layers_of(model: nn.Module, run: Run) -> list[list[Call]]:
    """The calls that make each layer, in the order of the layers.
    Raises BackboneError: the model has no list of blocks.
    """
    lists = {path: part for path, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part)}
    if not lists:
        raise BackboneError(f"{type(model).__name__} has no stack of blocks, so its layers cannot be counted")
    recorded = len(run.output.get("hidden_states") or ()) - 1
    called = {path: _calls_of(path, run.calls) for path in lists}
    fitting = [path for path, calls in called.items() if len(calls) == recorded]
    if not fitting:
        largest = max(lists, key=lambda path: sum(weights.numel() for weights in lists[path].parameters()))
        return [_inside(f"{largest}.{i}", run.calls) for i in range(len(lists[largest]))]
    chief = max(fitting, key=lambda path: sum(call.stop - call.start for call in called[path]))
    beside = [path for path in fitting if _parent(path) == _parent(chief) and len(lists[path]) == len(lists[chief])]
    return [[called[path][i] for path in beside] for i in range(recorded)]


def _calls_of(path: str, calls: list[Call]) -> list[Call]:
    """Calls of the members of a list."""
    return [call for call in calls if _parent(call.path) == path]


def _inside(path: str, calls: list[Call]) -> list[Call]:
    """The outermost calls at or below a path."""
    below = [call for call in calls if call.path == path or call.path.startswith(f"{path}.")]
    names = {call.path for call in below}
    return [call for call in below if not any(call.path.startswith(f"{name}.") for name in names)]


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
