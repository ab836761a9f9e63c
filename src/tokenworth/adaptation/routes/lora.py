"""LoRA through peft: which linear maps carry it, the adapted model, and base weights in 8 or 4 bits under it.

W x becomes W x + (alpha / rank) B A x with A (rank, in) random and B (out, rank) zero at the start; only A and B learn.
Source: Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models; Dettmers et al. (2023), QLoRA: Efficient
Finetuning of Quantized LLMs.

Where nobody names the maps they are asked of the model and of peft, not guessed from names: a map carries LoRA if a
text's states depend on its weights, if it is called and gives one tensor (a router gives several), and if peft takes
it: peft refuses the output maps of state spaces, takes some names for fused weights of experts, which know no dropout,
and a name such as "0" for whole blocks.  The answers come from a twin without weights.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.backbones import LORA_TARGETS, Backbone, meta_model
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights
from tokenworth.backbones.catalog import find_published
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.errors import SettingError, first_line

_USUAL_RANK = 256
"""Up to which a rank is taken whatever the width of the model."""
_LENGTH = 12
"""Of the text whose states show which maps it passes."""


def target_modules(model: nn.Module, name: str, wanted: tuple[str, ...]) -> list[str]:
    """Names of the linear maps that carry LoRA, sorted: own names, or paths where a name means other modules as well.

    Wanted are own names (q_proj), ends of paths (output.dense), or ("auto",), of which the model's name decides what
    it means.

    Raises SettingError: a name matches no linear map (the error lists those there are), or no map can carry LoRA.
    """
    there = linear_maps(model)
    if wanted == ("auto",):
        usual = LORA_TARGETS if find_published(name.removesuffix(RANDOM_SUFFIX)) else ()
        return sorted([own for own in usual if own in there] or automatic_targets(model))
    paths = linear_paths(model)
    for map_name in wanted:
        if not any(path == map_name or path.endswith(f".{map_name}") for path in paths):
            listed = ", ".join(f"{other} ({count})" for other, count in sorted(there.items()))
            raise SettingError(f"no linear map of the model is called {map_name!r}; there are {listed}")
    return sorted(wanted)


def linear_maps(model: nn.Module) -> Counter[str]:
    """How many linear maps there are of each own name."""
    return Counter(_own_name(path) for path in linear_paths(model))


def linear_paths(model: nn.Module) -> list[str]:
    """Paths of the linear maps, in the model's order."""
    return [path for path, module in model.named_modules() if _is_linear(module)]


def add_lora(model: nn.Module, name: str, config: AdaptConfig, seed: int) -> Any:
    """Put LoRA into a base model (in place) and freeze the rest; returns peft's wrapper, which saves the adapter.

    The model may be on the meta device; the seed is that of the random matrices.

    Raises SettingError: targets that match nothing, or peft fields it does not know.
    """
    from peft import LoraConfig, get_peft_model

    targets = target_modules(model, name, config.targets)
    _check_rank(model, config.rank)
    fields = {
        "r": config.rank,
        "lora_alpha": config.rank if config.alpha is None else config.alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": targets,
        "bias": "none",
    }
    try:
        settings = LoraConfig(**{**fields, **config.peft})
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


def _is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear map: GPT-2's Conv1D is one with its weight turned."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _own_name(path: str) -> str:
    return path.rpartition(".")[2]


def automatic_targets(model: Any) -> list[str]:
    """Own names of the maps that can carry LoRA; whole paths where the name belongs to other modules as well.

    Raises SettingError: there are none.
    """
    twin = meta_model(model.config)
    paths = adaptable(twin)
    elsewhere = {_own_name(path) for path, _ in twin.named_modules() if path not in paths}
    names = sorted({path if _own_name(path) in elsewhere else _own_name(path) for path in paths})
    if not _is_taken(twin, names):
        names = [name for name in names if _is_taken(twin, [name])]
    if not names:
        raise SettingError(
            f"{type(model).__name__} has no linear map that LoRA can be put on; choose the route probe or full"
        )
    return names


def adaptable(twin: Any) -> list[str]:
    """Paths of the linear maps of a model on the meta device through which a text's states pass as one tensor."""
    maps = {path: module for path, module in twin.named_modules() if _is_linear(module)}
    called: set[str] = set()

    def note(path: str, _module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            called.add(path)

    handles = [module.register_forward_hook(partial(note, path)) for path, module in maps.items()]
    twin.requires_grad_(False)
    for module in maps.values():
        module.weight.requires_grad_(True)
    try:
        with without_weights(twin):
            states = twin(**text_inputs(twin, _LENGTH, use_cache=False)).last_hidden_state
            if states.requires_grad:  # else no map is on the way
                states.sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    paths = [path for path, module in maps.items() if path in called and module.weight.grad is not None]
    twin.zero_grad(set_to_none=True)
    return paths


def _is_taken(twin: Any, names: list[str]) -> bool:
    """Whether peft puts LoRA on linear maps of these names; the twin is left as it was."""
    from peft import LoraConfig, inject_adapter_in_model

    for module in twin.modules():  # what they keep of a pass (RecurrentGemma's states) cannot be copied with a gradient
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                setattr(module, name, value.detach())
    copy = deepcopy(twin)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            inject_adapter_in_model(LoraConfig(r=1, lora_dropout=0.1, target_modules=names), copy)
    except (ValueError, AttributeError, NotImplementedError):
        return False
    return any("lora_A" in path for path, _ in copy.named_parameters())


def quantise(backbone: Backbone, bits: int) -> None:
    """Replace the linear maps of the model by quantised ones, in place; a head is never quantised.

    Raises SettingError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise SettingError("quantise needs a library that is not installed: pip install bitsandbytes")
    linear = [(path, module) for path, module in backbone.model.named_modules() if type(module) is nn.Linear]
    for path, module in linear:
        parent = backbone.model.get_submodule(path.rpartition(".")[0])
        setattr(parent, _own_name(path), _quantised(module, bits, backbone))


def _quantised(module: nn.Linear, bits: int, backbone: Backbone) -> Any:
    layers: Any = import_module("bitsandbytes").nn
    shape = (module.in_features, module.out_features, module.bias is not None)
    if bits == 8:
        new = layers.Linear8bitLt(*shape, has_fp16_weights=False)
        new.weight = layers.Int8Params(module.weight.data, requires_grad=False, has_fp16_weights=False)
    else:
        new = layers.Linear4bit(*shape, compute_dtype=backbone.dtype, quant_type="nf4")
        new.weight = layers.Params4bit(module.weight.data, requires_grad=False, quant_type="nf4")
    if module.bias is not None:
        new.bias = nn.Parameter(module.bias.data, requires_grad=False)
    return new.to(backbone.device)
