"""Frozen base weights in 8 or 4 bits under LoRA, where bitsandbytes is installed; the head is never quantised.

Source: Dettmers et al. (2023), QLoRA: Efficient Finetuning of Quantized LLMs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from tokenworth.backbones import Backbone
from tokenworth.errors import SettingError


def quantise(backbone: Backbone, bits: int) -> None:
    """Replace the linear maps of the model by quantised ones, in place.

    Raises:
        SettingError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise SettingError("quantise needs a library that is not installed: pip install bitsandbytes")
    linear = [(path, module) for path, module in backbone.model.named_modules() if type(module) is nn.Linear]
    for path, module in linear:
        parent, _, name = path.rpartition(".")
        setattr(backbone.model.get_submodule(parent), name, _quantised(module, bits, backbone))


def _quantised(module: nn.Linear, bits: int, backbone: Backbone) -> Any:
    bnb: Any = import_module("bitsandbytes")

    has_bias = module.bias is not None
    if bits == 8:
        new: Any = bnb.nn.Linear8bitLt(module.in_features, module.out_features, has_bias, has_fp16_weights=False)
        new.weight = bnb.nn.Int8Params(module.weight.data, requires_grad=False, has_fp16_weights=False)
    else:
        new = bnb.nn.Linear4bit(
            module.in_features, module.out_features, has_bias, compute_dtype=backbone.dtype, quant_type="nf4"
        )
        new.weight = bnb.nn.Params4bit(module.weight.data, requires_grad=False, quant_type="nf4")
    if has_bias:
        new.bias = nn.Parameter(module.bias.data, requires_grad=False)
    return new.to(backbone.device)
