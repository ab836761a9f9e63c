"""One process, or several through accelerate: the few calls in which they differ."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

from tokenworth.base.processes import Processes, join_processes
from tokenworth.errors import SettingError

_CLIP_MARGIN = 1e-6
"""What PyTorch adds to a norm before it divides by it."""


class Devices:
    """This process alone: the plain PyTorch calls."""

    processes = Processes()
    wrapped = False
    """Whether gradients travel, so that all processes must make steps alike."""
    sharded = False
    """Whether weights are spread over the processes: all must make the same number of passes."""

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it."""
        return model

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def without_sync(self, _model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Around all passes of a step but the last."""
        return nullcontext()

    def clip(self, parameters: Iterable[nn.Parameter], norm: float) -> float:
        """Scale the gradient down to a norm; returns the norm it had.  One that is small enough is only read."""
        grads = [_numbers(weights) for weights in parameters if weights.grad is not None]
        total = torch.nn.utils.get_total_norm(grads)
        before: float = whole(total).item()
        if not before <= norm - _CLIP_MARGIN:
            torch._foreach_mul_(grads, torch.clamp(norm / (total + _CLIP_MARGIN), max=1.0))
        return before


def _numbers(weights: nn.Parameter) -> Tensor:
    """The gradient, or those of its rows that are kept, to be read and changed."""
    grad = weights.grad
    assert grad is not None, "asked of weights with a gradient"
    if not grad.is_sparse:
        return grad
    weights.grad = grad.coalesce()
    return weights.grad.values()


class Accelerated(Devices):
    """Several processes with a replica each, started by torchrun or `accelerate launch`: DDP through accelerate."""

    wrapped = True

    def __init__(self) -> None:
        from accelerate import Accelerator

        self.processes = join_processes()
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())

    def prepare(self, model: nn.Module) -> nn.Module:
        """Wrapped so that gradients are averaged over the processes."""
        prepared: nn.Module = self.accelerator.prepare_model(model)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the loss; scaled so that the average over processes is the sum."""
        self.accelerator.backward(loss * self.processes.size)

    def without_sync(self, model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Gradients travel once a step."""
        return nullcontext() if last else self.accelerator.no_sync(model)


class Sharded(Devices):
    """Several processes that hold a part of the weights each: FSDP of torch, as in `features.weight_sharding`."""

    wrapped = True
    sharded = True

    def __init__(self) -> None:
        self.processes = join_processes()
        if self.processes.size < 2:
            raise SettingError("shard spreads a model over several processes; start them with torchrun")

    def prepare(self, model: nn.Module) -> nn.Module:
        """Spread block by block, and the rest with the head."""
        from torch.distributed.fsdp import fully_shard

        blocks = max((part for part in model.modules() if isinstance(part, nn.ModuleList)), key=len)
        for block in (*blocks, model):
            fully_shard(block)
        return model

    def backward(self, loss: Tensor) -> None:
        """FSDP averages gradients; scaled so that the average over processes is the sum."""
        super().backward(loss * self.processes.size)


def find_devices(*, shard: bool = False) -> Devices:
    """One process unless a launcher started several.

    Raises:
        SettingError: sharding asked of one process alone.
    """
    if shard:
        return Sharded()
    return Accelerated() if join_processes().size > 1 else Devices()


@dataclass(frozen=True, eq=False, slots=True)
class Compute:
    """What a run computes with: its processes, this one's device, and the number format of products."""

    devices: Devices
    device: torch.device
    dtype: torch.dtype

    @property
    def processes(self) -> Processes:
        """Who takes part in the run."""
        return self.devices.processes

    def autocast(self, learning: torch.dtype = torch.float32) -> AbstractContextManager[Any]:
        """Products in a narrower format than that of the weights that learn."""
        if self.dtype in {torch.float32, torch.float64, learning}:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over processes; all of them must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers on the CPU, those that are spread put together; all processes must ask."""
    return {name: whole(value.detach()).cpu() for name, value in module.state_dict().items()}


def spread_like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor spread as another one is, as far as they have dimensions in common; else whole everywhere."""
    if not isinstance(pattern, DTensor):
        return tensor.to(pattern.device)
    common = tensor.shape == pattern.shape[: tensor.ndim]
    placements = pattern.placements if common else [Replicate() for _ in pattern.placements]
    return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, placements)
