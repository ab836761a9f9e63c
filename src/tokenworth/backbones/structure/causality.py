"""Whether a model sees the tokens ahead, asked of its configuration alone: the model runs with weights made up.

The weights are overlapping views of one short table of random numbers, so that even a large model takes no memory, and
where it is large only its first block runs.  Two texts that agree in their first half must then give it the same states
there.

Axes: T tokens, D width.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.backbones.accounting.shape_pass import Shapes, text_inputs
from tokenworth.backbones.loading.size_check import outline_of
from tokenworth.backbones.loading.text_model import body_of, whole_class
from tokenworth.errors import BackboneError, first_line

_LENGTH = 12
_SMALL = 20_000_000
"""Parameters of a model that is run as a whole."""
_ROWS = 512
_STEP = 7
"""Rows of a matrix overlap but for so many numbers."""


class _Enough(Exception):  # noqa: N818 - no error: the first block has given its states
    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def is_causal(config: Any, first_block: str) -> bool:
    """Whether the states of the first tokens ignore the tokens behind them.

    Args:
        config: of the base model.
        first_block: path of a module; where the model is large, its states are looked at.

    Raises:
        BackboneError: the model does not run.
    """
    model = _model_of_views(deepcopy(config))
    size = sum(weights.numel() for weights in model.parameters())
    hook = model.get_submodule(first_block).register_forward_hook(_stop) if size > _SMALL else None
    try:
        first, second = _states(model)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise BackboneError(
            f"{type(model).__name__} does not run with random weights ({first_line(error)}); check its config.json"
        ) from error
    finally:
        if hook is not None:
            hook.remove()
    half = _LENGTH // 2
    return bool((second[:half] - first[:half]).norm() < 1e-5 * first[:half].norm())


def _model_of_views(config: Any) -> nn.Module:
    """The base model with weights of no memory; buffers as the library sets them where it loads weights."""
    with Shapes():
        model: Any = body_of(outline_of(whole_class(config), config))
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        for name, weights in module._parameters.items():
            if weights is not None:
                module._parameters[name] = _parameter_of_views(module, weights, generator)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)
    model.initialize_weights()
    model.config._experts_implementation = "eager"  # a loop over experts, which takes weights of any form
    return model.eval()


def _parameter_of_views(module: nn.Module, weights: Tensor, generator: torch.Generator) -> nn.Parameter:
    table = isinstance(module, nn.Embedding) and (module.padding_idx or 0) < _ROWS
    shape = (min(_ROWS, len(weights)), *weights.shape[1:]) if table else tuple(weights.shape)
    parameter: Any = nn.Parameter(_overlapping(shape, generator), requires_grad=False)
    parameter._is_hf_initialized = True  # the library then leaves it as it is
    return parameter


def _overlapping(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random numbers of a shape, the norms of whose rows are 1 on average; rows share most of their numbers."""
    if len(shape) < 2:
        return 1 + 0.1 * torch.randn(shape, generator=generator)
    strides = [1]
    for place in range(len(shape) - 1):
        strides.insert(0, _STEP * (place + 1))
    size = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    numbers = torch.randn(size, generator=generator) / shape[-1] ** 0.5
    return numbers.as_strided(shape, strides)


def forked_texts(vocabulary: int, length: int, device: torch.device | str = "cpu") -> Tensor:
    """Two texts (2, T) of token ids spread over the vocabulary; they agree in the first half, nowhere in the second."""
    first = torch.arange(length, device=device) * vocabulary // length
    second = first.clone()
    second[length // 2 :] = (first[length // 2 :] + max(1, vocabulary // 3)) % vocabulary
    return torch.stack([first, second])


def _states(model: Any) -> Tensor:
    ids_BT = forked_texts(min(_ROWS, model.get_input_embeddings().num_embeddings), _LENGTH)
    try:
        with torch.inference_mode():
            return model(**{**text_inputs(model, _LENGTH, n_texts=2), "input_ids": ids_BT}).last_hidden_state
    except _Enough as enough:
        return enough.states


def _stop(_module: nn.Module, _args: Any, output: Any) -> None:
    raise _Enough(output if isinstance(output, Tensor) else output[0])
