"""Several processes on one pass: who am I, how many are we, and what we tell each other.

Started by torchrun or accelerate, which set RANK, WORLD_SIZE and LOCAL_RANK; a process group that the caller has made
is used as it is.  Text travels as bytes in tensors: nothing is pickled.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Take leave of the others and end this process, if it was in a group: the last that it does.

    It ends as Python would after the exception in flight, if any, but Python is not taken apart before.  DDP and FSDP
    keep the threads of a group after it is destroyed (torch 2.13), and one that lets go of a tensor while Python is
    taken apart aborts the process: "terminate called without an active exception" (pytorch/pytorch#179291).
    """
    if not (dist.is_available() and dist.is_initialized()):
        return
    code = _exit_code(sys.exc_info()[1])
    dist.destroy_process_group()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a reader that has left, a stream that is closed
            stream.flush()
    os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    """What Python would end with; what it would print is printed."""
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1


def _device() -> torch.device:
    """Where small messages lie: in main memory if the group can send from there."""
    backend = dist.get_backend_config() if hasattr(dist, "get_backend_config") else dist.get_backend()
    return torch.device("cpu" if "gloo" in str(backend) else "cuda")
