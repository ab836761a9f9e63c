"""How large a model would be: built without memory, and given up as soon as it grows beyond any model there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from tokenworth.backbones.loading.configuration_class import without_pooler
from tokenworth.base.machine import free_memory
from tokenworth.errors import BackboneError, first_line

_MOST_MODULES = 50_000
"""About 0.3 ms each: a model of more would take minutes to build."""
_MOST_NUMBERS = 20_000_000_000_000
_FLOAT32_BYTES = 4


def outline_of(model_class: Any, config: Any) -> Any:
    """A model of some class on the meta device, where a tensor has a shape and no memory.
    Raises BackboneError: it cannot be built, or has more modules or numbers than any model.
    """
    name = config.name_or_path or f"a {config.model_type} model"
    try:
        with _bound_size(name), torch.device("meta"):
            return model_class(config, **without_pooler(model_class))
    except BackboneError:
        raise
    except Exception as error:  # wrong values come to light wherever a constructor meets them
        raise BackboneError(
            f"no model can be built from config.json of {name} ({first_line(error)}); check the values in it, or "
            "fetch it again"
        ) from error


def check_memory(model: nn.Module, name: str) -> None:
    """Random weights are drawn in float32 in main memory.  Raises BackboneError: they do not fit."""
    n_weights, free = _n_weights(model), free_memory()
    needed = _FLOAT32_BYTES * (n_weights + sum(b.numel() for b in model.buffers()))
    if needed > free:
        raise BackboneError(
            f"{name} has {n_weights:,} weights, whose random twin takes {needed / 1e9:,.1f} GB of main memory where "
            f"{free / 1e9:,.1f} GB are free; choose a smaller model, or check the sizes in its config.json"
        )


def check_stored(model: nn.Module, stored: int, name: str) -> None:
    """Raises BackboneError: the files hold less than half of the model, so config.json is that of another one."""
    if _n_weights(model) > 2 * stored:
        raise BackboneError(
            f"config.json of {name} describes a model of {_n_weights(model):,} weights, but its files hold {stored:,}; "
            "fetch config.json and weights of one and the same model"
        )


def _n_weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@contextmanager
def _bound_size(name: str) -> Iterator[None]:
    """Count modules and numbers as they are registered."""
    counts: Counter[str] = Counter()

    def count(what: str, number: int, most: int) -> None:
        counts[what] += number
        if counts[what] > most:
            raise BackboneError(
                f"config.json of {name} describes a model of more than {most:,} {what}, which is no model that could "
                "be read here; check its sizes, or fetch it again"
            )

    def count_module(_module: nn.Module, _name: str, _part: Any) -> None:
        count("modules", 1, _MOST_MODULES)

    def count_numbers(_module: nn.Module, _name: str, tensor: Any) -> None:
        count("numbers", 0 if tensor is None else tensor.numel(), _MOST_NUMBERS)

    with (
        hooks.register_module_module_registration_hook(count_module),
        hooks.register_module_parameter_registration_hook(count_numbers),
        hooks.register_module_buffer_registration_hook(count_numbers),
    ):
        yield
