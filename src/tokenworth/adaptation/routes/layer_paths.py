"""Blocks of a base model by their paths: found on a twin without weights, so that any model of the shape has them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tokenworth.backbones import meta_model
from tokenworth.backbones.accounting.block_calls import layers_of, run_without_weights
from tokenworth.errors import BackboneError, SettingError

_LENGTH = 12
"""Of the text whose pass shows which blocks are called, and in which order."""


class LayerPaths(NamedTuple):
    """Paths of modules, in the order in which a text passes them."""

    layers: list[list[str]]
    """L layers; of a layer the modules that make it, of which the last one puts out its states."""
    after: list[str]
    """What is called behind the last of them, such as the final norm."""


def layer_paths(model: Any, tuning: str) -> LayerPaths:
    """Of a base model, which may have no weights.

    Raises:
        SettingError: a block serves several layers, so that none of them can be changed alone; or the model has no
            blocks that can be told apart.
    """
    name = type(model).__name__
    try:
        twin = meta_model(model.config)
        run = run_without_weights(twin, _LENGTH)
        calls = layers_of(twin, run)
    except BackboneError as error:
        raise SettingError(f"tuning {tuning} acts on blocks, and those of {name} are not found ({error})") from error
    layers = [[call.path for call in layer] for layer in calls]
    inside = [path for layer in layers for path in layer]
    if len(set(inside)) < len(inside):
        raise SettingError(
            f"tuning {tuning} acts on single layers, and in {name} several of them share their weights; choose tuning "
            "lora or ia3"
        )
    last = max(place for place, call in enumerate(run.calls) if call.path in set(inside))
    behind = [call.path for call in run.calls[last + 1 :]]
    return LayerPaths(layers, [path for path in behind if not any(path.startswith(f"{own}.") for own in inside)])
