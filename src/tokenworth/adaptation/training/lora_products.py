"""Products of LoRA's maps: those that read one tensor are computed together, and memory is walked through once.

    y_g = W_g x + b_g + s_g B_g A_g (m o x) / (1 - p)      for the maps g = 1 .. G that read x; m_i is 0 with chance p

peft computes each map alone, in seven steps forward and nine backward.  Here the maps of one input (queries, keys and
values; gate and up) share one drawing of m and the products with A_1 .. A_G, and a frozen W keeps nothing for the way
back.  Same distribution as peft's, where each map draws an m of its own; without dropout the same numbers to rounding.

peft's modules stay: they hold the weights, save them and merge them.  Only their forward is answered here.

Axes: S tokens, D numbers of the input, E of an output, R rank.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tokenworth.backbones import Backbone
from tokenworth.backbones.accounting.shape_pass import text_inputs

_LENGTH = 12
"""Of the text whose pass shows which maps read one tensor."""
_LEVELS = 2**16
"""Of a random number of 16 bits, four of which come from one draw: a processor draws number by number."""


def join_products(backbone: Backbone) -> list[list[Any]]:
    """Compute the products of a backbone with LoRA in it together from now on; returns peft's layers by their input.

    Which of them read one tensor is found by a forward pass over a short text; an expert that no token of it is sent
    to stays with peft, as does what is no plain LoRA on a plain linear map (quantised weights, DoRA, a turned weight).
    """
    layers = [module for module in backbone.model.modules() if _is_plain(module)]
    groups: list[JoinedMaps] = []
    inputs = {name: value.to(backbone.device) for name, value in text_inputs(backbone.model, _LENGTH).items()}
    if layers:
        with _watched(layers, groups), torch.no_grad():
            backbone.model(**inputs)
    for group in groups:
        for layer in group.layers:
            layer.forward = _Forward(group, layer)
    return [group.layers for group in groups]


class JoinedMaps:
    """LoRA layers that read the same tensor."""

    def __init__(self, layer: Any) -> None:
        self.layers = [layer]
        self._waiting: dict[int, Tensor] = {}
        self._input: Any = None
        self._version = 0

    def output(self, layer: Any, x: Tensor) -> Tensor:
        """What a layer makes of its input; that of the others is kept until they ask with the same tensor.

        In inference mode no tensor tells whether it was changed in the meantime, so a layer is computed alone there.
        """
        if x.is_inference():
            return _products([layer], x)[0]
        same = self._input is not None and self._input() is x and self._version == x._version
        if not same or id(layer) not in self._waiting:
            self._input, self._version = weakref.ref(x), x._version
            outputs = _products(self.layers, x)
            self._waiting = {id(other): y for other, y in zip(self.layers, outputs, strict=True)}
        y = self._waiting.pop(id(layer))
        if not self._waiting:
            self._input = None
        return y


class _Forward:
    """In place of the forward of one of peft's layers."""

    def __init__(self, group: JoinedMaps, layer: Any) -> None:
        self.group, self.layer = group, layer

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        layer = self.layer
        if args or kwargs or layer.disable_adapters or layer.merged:
            return type(layer).forward(layer, x, *args, **kwargs)
        return self.group.output(layer, x)


def _is_plain(module: nn.Module) -> bool:
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return False
    names = list(module.lora_A)
    return (
        names == list(module.active_adapters)
        and len(names) == 1
        and not (module.lora_variant or module.fan_in_fan_out or module.lora_bias[names[0]])
        and not any(weights.requires_grad for weights in module.base_layer.parameters())
    )


@contextmanager
def _watched(layers: list[Any], groups: list[JoinedMaps]) -> Iterator[None]:
    """Fill groups with the layers that are called, those that are called with the same tensor in one."""
    inputs: list[Tensor] = []  # held, so that no other tensor takes the place of one
    known: set[int] = set()

    def note(layer: Any, args: tuple[Any, ...]) -> None:
        if id(layer) in known or not args:
            return
        known.add(id(layer))
        if inputs and inputs[-1] is args[0] and _alike(groups[-1].layers[0], layer):
            groups[-1].layers.append(layer)
        else:
            groups.append(JoinedMaps(layer))
            inputs.append(args[0])

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _alike(layer: Any, other: Any) -> bool:
    (name,), (another,) = layer.active_adapters, other.active_adapters
    return bool(_dropout(layer, name) == _dropout(other, another))


def _dropout(layer: Any, name: str) -> float:
    return float(getattr(layer.lora_dropout[name], "p", 0.0))


def _products(layers: list[Any], x: Tensor) -> tuple[Tensor, ...]:
    weights, biases, downs, ups, scales = [], [], [], [], []
    for layer in layers:
        (name,) = layer.active_adapters
        weights.append(layer.base_layer.weight)
        biases.append(layer.base_layer.bias)
        downs.append(layer.lora_A[name].weight)
        ups.append(layer.lora_B[name].weight)
        scales.append(float(layer.scaling[name]))
    p = _dropout(layers[0], name) if layers[0].training else 0.0
    return _Joined.apply(x, p, scales, *weights, *biases, *downs, *ups)  # type: ignore[no-untyped-call]


def _kept(x_SD: Tensor, p: float) -> tuple[Tensor, float]:
    """A drawn mask of zeros and ones in the format of x, and the chance of a one, exact for the mask drawn."""
    dropped = round(p * _LEVELS)
    n = x_SD.numel()
    words = torch.empty(-(-n // 4), dtype=torch.int64, device=x_SD.device)
    words.random_(-(2**63), None)
    bits = words.view(torch.int16)[:n].view(x_SD.shape)
    return (bits >= dropped - _LEVELS // 2).to(x_SD.dtype), 1 - dropped / _LEVELS


class _Joined(torch.autograd.Function):
    """The formula at the top of this file, and its gradient with respect to x, A and B."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, scales: list[float], *tensors: Tensor) -> tuple[Tensor, ...]:
        n = len(scales)
        weights, biases, downs, ups = (tensors[start : start + n] for start in range(0, 4 * n, n))
        kind = x.device.type
        narrowed = torch.is_autocast_enabled(kind) and x.dtype != torch.float64  # as PyTorch's own maps have it
        dtype = torch.get_autocast_dtype(kind) if narrowed else weights[0].dtype
        with torch.autocast(kind, enabled=False):
            x_SD = x.reshape(-1, x.shape[-1]).to(dtype)
            mask_SD, kept = _kept(x_SD, p) if p else (None, 1.0)
            read_SD = x_SD if mask_SD is None else x_SD * mask_SD
            down_RD = torch.cat(list(downs)).to(dtype)
            inner_SR = linear(read_SD, down_RD)
            ups_ER = [(up * (scale / kept)).to(dtype) for up, scale in zip(ups, scales, strict=True)]
            ranks = [len(down) for down in downs]
            outputs = []
            for weight, bias, up_ER, inner in zip(
                weights, biases, ups_ER, torch.split(inner_SR, ranks, 1), strict=True
            ):
                plain_SE = linear(x_SD, weight.to(dtype), None if bias is None else bias.to(dtype))
                y_SE = torch.addmm(plain_SE, inner, up_ER.t())
                # no view: of those that a function returns none may be changed in place, which some models do
                outputs.append(torch.ops.aten._unsafe_view(y_SE, [*x.shape[:-1], len(up_ER)]))
        ctx.save_for_backward(read_SD, mask_SD, inner_SR, down_RD, *ups_ER, *weights)
        ctx.factors, ctx.ranks, ctx.like = [scale / kept for scale in scales], ranks, (x.shape, x.dtype, ups[0].dtype)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        read_SD, mask_SD, inner_SR, down_RD, *rest = ctx.saved_tensors
        ups_ER, weights = rest[: len(grads)], rest[len(grads) :]
        shape, dtype, learning = ctx.like
        inner_grad_SR, grad_x = torch.zeros_like(inner_SR), None
        ups: list[Tensor | None] = []
        parts = zip(torch.split(inner_grad_SR, ctx.ranks, 1), torch.split(inner_SR, ctx.ranks, 1), strict=True)
        for grad, up_ER, weight, factor, (part_SR, kept_SR) in zip(
            grads, ups_ER, weights, ctx.factors, parts, strict=True
        ):
            if grad is None:  # of a map whose output nobody used
                ups.append(None)
                continue
            grad_SE = grad.reshape(-1, grad.shape[-1]).to(read_SD.dtype)
            torch.mm(grad_SE, up_ER, out=part_SR)
            ups.append((grad_SE.t() @ kept_SR).to(learning).mul_(factor))
            if ctx.needs_input_grad[0]:
                narrow = weight.to(grad_SE.dtype)
                grad_x = grad_SE @ narrow if grad_x is None else torch.addmm(grad_x, grad_SE, narrow)
        downs = torch.split((inner_grad_SR.t() @ read_SD).to(learning), ctx.ranks)
        if grad_x is not None:
            low_SD = inner_grad_SR @ down_RD
            grad_x = grad_x.add_(low_SD if mask_SD is None else low_SD.mul_(mask_SD)).view(shape).to(dtype)
        return (grad_x, None, None, *[None] * (2 * len(grads)), *downs, *ups)
