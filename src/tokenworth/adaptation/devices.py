"""One process, or several through accelerate: the few calls in which they differ."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from tokenworth.features import Processes, join_processes


class Devices:
    """This process alone: the plain PyTorch calls."""

    processes = Processes()
    wrapped = False

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
        """Scale the gradient down to a norm; returns the norm it had."""
        return whole(torch.nn.utils.clip_grad_norm_(list(parameters), norm)).item()


class Accelerated(Devices):
    """Several processes, started by torchrun or `accelerate launch`: DDP, or FSDP where its configuration says so."""

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


def find_devices() -> Devices:
    """One process unless a launcher started several."""
    return Accelerated() if join_processes().size > 1 else Devices()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that may be spread over processes; all of them must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread_like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A whole tensor, spread as another one is."""
    if isinstance(pattern, DTensor):
        return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, pattern.placements)
    return tensor.to(pattern.device)
