"""Several processes on one pass: who am I, how many are we, and what we tell each other.

Started by torchrun or accelerate, which set RANK, WORLD_SIZE and LOCAL_RANK; a process group that the caller has made
is used as it is.  Text travels as bytes in tensors: nothing is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from tokenworth.base.environment_variables import whole_number_of
from tokenworth.errors import SettingError, TokenworthError

_PATIENCE = timedelta(days=2)  # the main process may score for long while the others wait


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of this run; one alone needs none of the communication."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def from_main(self, tensor: Tensor) -> None:
        """Replace a tensor by the main process's, in place."""
        if self.size > 1:
            dist.broadcast(tensor, 0)

    def most(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return number
        largest = torch.tensor(number, device=_device())
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest)

    def tell(self, text: str, source: int = 0) -> str:
        """The text of one process, in all of them."""
        if self.size == 1:
            return text
        encoded = torch.tensor(list(text.encode()), dtype=torch.uint8, device=_device())
        length = torch.tensor(len(encoded), device=_device())
        dist.broadcast(length, source)
        received = encoded if self.rank == source else torch.empty(int(length), dtype=torch.uint8, device=_device())
        dist.broadcast(received, source)
        return bytes(received.cpu().tolist()).decode()

    def wait(self) -> None:
        """Until all processes are here."""
        self.most(0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What fails in one process inside the block fails in all at its end, with the same sentence.

        Raises TokenworthError: one of the processes raised one.
        """
        failure: TokenworthError | None = None
        try:
            yield
        except TokenworthError as error:
            if self.size == 1:
                raise
            failure = error
        if self.size > 1:
            first = self.size - self.most(self.size - self.rank if failure else 0)
            if first < self.size:
                sentence = self.tell(str(failure or ""), first)
                raise failure or TokenworthError(sentence)


def join_processes() -> Processes:
    """The group this process belongs to; it is formed now if a launcher has announced one.

    Raises SettingError: the launcher's variables do not fit together, or the others do not come.
    """
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    if whole_number_of("WORLD_SIZE", 1) < 2:
        return Processes()
    whole_number_of("RANK", 0)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    if torch.cuda.is_available():  # "cuda" is then this process's own card
        torch.cuda.set_device(whole_number_of("LOCAL_RANK", 0) % torch.cuda.device_count())
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise SettingError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes cannot find each other ({error}); start them "
            "with torchrun or accelerate launch, or unset WORLD_SIZE"
        ) from error
    return Processes(dist.get_rank(), dist.get_world_size())


def leave_processes() -> None:
    """Take leave of the others, if this process was in a group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _device() -> torch.device:
    """Where small messages lie: in main memory if the group can send from there."""
    backend = dist.get_backend_config() if hasattr(dist, "get_backend_config") else dist.get_backend()
    return torch.device("cpu" if "gloo" in str(backend) else "cuda")
