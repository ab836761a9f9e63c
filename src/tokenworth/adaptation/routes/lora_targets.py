"""Which linear maps LoRA is put on where nobody names them: asked of the model and of peft, not guessed from names.

A map carries LoRA if a text's states depend on its weights, if it is called and gives one tensor (a router gives
several), and if peft takes it: peft refuses the output maps of state spaces, takes some names for fused weights of
experts, which know no dropout, and a name such as "0" for whole blocks.  The answers come from a twin without weights.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.backbones import meta_model
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights
from tokenworth.errors import SettingError

IsLinear = Callable[[nn.Module], bool]
_LENGTH = 12


def automatic_targets(model: Any, is_linear: IsLinear) -> list[str]:
    """Own names of the maps that can carry LoRA; whole paths where the name belongs to other modules as well.

    Raises:
        SettingError: there are none.
    """
    twin = meta_model(model.config)
    paths = adaptable(twin, is_linear)
    names = _names(twin, paths)
    if not taken(twin, names):
        names = [name for name in names if taken(twin, [name])]
    if not names:
        raise SettingError(
            f"{type(model).__name__} has no linear map that LoRA can be put on; choose the route probe or full"
        )
    return names


def adaptable(twin: Any, is_linear: IsLinear) -> list[str]:
    """Paths of the linear maps through which a text's states pass as one tensor.

    Args:
        twin: base model on the meta device.
        is_linear: what counts as a linear map.
    """
    maps = {path: module for path, module in twin.named_modules() if is_linear(module)}
    called: set[str] = set()

    def watch(path: str) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                called.add(path)

        return hook

    handles = [module.register_forward_hook(watch(path)) for path, module in maps.items()]
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


def _names(twin: nn.Module, paths: list[str]) -> list[str]:
    """The shortest names that mean these modules and no others."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for path, _ in twin.named_modules():
        by_name[path.rpartition(".")[2]].append(path)
    names = set()
    for path in paths:
        last = path.rpartition(".")[2]
        names.add(last if set(by_name[last]) <= set(paths) else path)
    return sorted(names)


def taken(twin: Any, names: list[str]) -> bool:
    """Whether peft puts LoRA on linear maps of these names; the twin is left as it was."""
    from copy import deepcopy

    from peft import LoraConfig, inject_adapter_in_model

    _detach_kept(twin)
    copy = deepcopy(twin)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            inject_adapter_in_model(LoraConfig(r=1, lora_dropout=0.1, target_modules=names), copy)
    except (ValueError, AttributeError, NotImplementedError):
        return False
    return any("lora_A" in path for path, _ in copy.named_parameters())


def _detach_kept(model: Any) -> None:
    """Part what modules keep of a pass (RecurrentGemma's states) from its gradient, which cannot be copied."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                setattr(module, name, value.detach())
