"""LoRA through peft: which linear maps carry it, and the adapted model.

W x becomes W x + (alpha / rank) B A x with A (rank, in) random and B (out, rank) zero at the start; only A and B learn.
Source: Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.lora_targets import automatic_targets
from tokenworth.backbones import LORA_TARGETS
from tokenworth.backbones.catalog import find_published
from tokenworth.errors import SettingError, first_line

_USUAL_RANK = 256
"""Up to which a rank is taken whatever the width of the model."""


def target_modules(model: nn.Module, name: str, wanted: tuple[str, ...]) -> list[str]:
    """Names of the linear maps that carry LoRA, sorted: own names, or paths where a name means other modules as well.

    Args:
        model: base model.
        name: as the user gave it; decides what "auto" means.
        wanted: own names (q_proj), ends of paths (output.dense), or ("auto",).

    Raises:
        SettingError: a name matches no linear map (the error lists those there are), or no map can carry LoRA.
    """
    there = linear_maps(model)
    if wanted == ("auto",):
        published = [map_name for map_name in LORA_TARGETS if map_name in there] if find_published(_plain(name)) else []
        return sorted(published or automatic_targets(model, is_linear))
    paths = [path for path, module in model.named_modules() if is_linear(module)]
    for map_name in wanted:
        if not any(path == map_name or path.endswith(f".{map_name}") for path in paths):
            listed = ", ".join(f"{other} ({count})" for other, count in sorted(there.items()))
            raise SettingError(f"no linear map of the model is called {map_name!r}; there are {listed}")
    return sorted(wanted)


def linear_maps(model: nn.Module) -> Counter[str]:
    """How many linear maps there are of each own name."""
    return Counter(path.rpartition(".")[2] for path, module in model.named_modules() if is_linear(module))


def add_lora(model: nn.Module, name: str, config: AdaptConfig, seed: int) -> Any:
    """Put LoRA into a base model (in place) and freeze the rest; returns peft's wrapper, which saves the adapter.

    Args:
        model: base model; may be on the meta device.
        name: as the user gave it.
        config: rank, alpha, dropout, targets and further fields of peft.
        seed: of the random matrices.

    Raises:
        SettingError: targets that match nothing, or peft fields it does not know.
    """
    from peft import LoraConfig, get_peft_model

    targets = target_modules(model, name, config.targets)
    _check_rank(model, config.rank)
    try:
        settings = LoraConfig(
            **{
                "r": config.rank,
                "lora_alpha": config.rank if config.alpha is None else config.alpha,
                "lora_dropout": config.lora_dropout,
                "target_modules": targets,
                "bias": "none",
                **config.peft,
            }
        )
    except (TypeError, ValueError) as error:
        raise SettingError(f"peft does not take these settings of LoRA ({first_line(error)})") from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return get_peft_model(model, settings)
        except ValueError as error:
            raise SettingError(
                f"peft cannot put LoRA on {', '.join(targets)} of {type(model).__name__} ({first_line(error)}); leave "
                "targets at auto, or name others"
            ) from error


def _check_rank(model: nn.Module, rank: int) -> None:
    """B A of a higher rank than W has is more numbers for the same maps; small models may still take the usual ones."""
    widest = max(max(weights.shape) for weights in model.parameters() if weights.dim() == 2)
    if rank > max(widest, _USUAL_RANK):
        raise SettingError(
            f"a LoRA of rank {rank:,} is larger than any map of the model, the widest of which has {widest:,} numbers; "
            f"give --rank up to {max(widest, _USUAL_RANK):,}"
        )


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map: GPT-2's Conv1D is one with its weight turned."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _plain(name: str) -> str:
    return name.removesuffix("@random")
