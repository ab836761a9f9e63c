"""Partial fine-tuning: some of the backbone's own weights learn, the others stay as they are, bit for bit.

last_blocks: those of the last blocks and of what comes behind them; the backward pass ends at the first of these.
bias: the vectors that the model's maps and norms add (Ben Zaken et al. 2022, BitFit).
"""

from __future__ import annotations

from typing import Any

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.layer_paths import layer_paths
from tokenworth.errors import SettingError


def free_last_blocks(model: Any, _name: str, config: AdaptConfig, _seed: int) -> None:
    """Let the last blocks learn.  Raises SettingError: the model has fewer, or blocks that share weights."""
    found = layer_paths(model, "last_blocks")
    if config.blocks > len(found.layers):
        raise SettingError(
            f"{type(model).__name__} has {len(found.layers)} blocks, so the last {config.blocks} cannot learn; give "
            f"--blocks up to {len(found.layers)}"
        )
    model.requires_grad_(False)
    for path in [path for layer in found.layers[-config.blocks :] for path in layer] + found.after:
        model.get_submodule(path).requires_grad_(True)


def free_biases(model: Any, _name: str, _config: AdaptConfig, _seed: int) -> None:
    """Let every bias learn.  Raises SettingError: there is none."""
    model.requires_grad_(False)
    biases = [weights for path, weights in model.named_parameters() if path.rpartition(".")[2] == "bias"]
    if not biases:
        raise SettingError(f"{type(model).__name__} has no biases that could learn; choose tuning ia3, or last_blocks")
    for weights in biases:
        weights.requires_grad_(True)
