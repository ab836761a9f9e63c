"""Where cells may run at the same time: slots on devices, and the memory they share.

By an estimate from the parameters of their backbones, cells that run together never take more than there is: of main
memory, nor of the card they are on.  Alone, any cell may try.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tokenworth.backbones import account_of
from tokenworth.backbones.load import RANDOM_SUFFIX
from tokenworth.errors import TokenworthError
from tokenworth.features.groups import free_memory
from tokenworth.study.grid import Cell

BASE_BYTES = 800_000_000
"""Of a process with its libraries and texts."""
BYTES_PER_PARAMETER = 20
"""Weights, gradients, optimiser and a copy while evaluating."""
LOADING_BYTES_PER_PARAMETER = 4
"""What passes through main memory on its way to a card."""
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes a cell may take."""

    main: int
    card: int = 0


def needs_of(cell: Cell, *, on_card: bool) -> Needs:
    """Memory of a cell, from its backbone's parameters; that of the process alone where these are not known."""
    parameters = 0 if cell.backbone is None else _parameters(cell.backbone)
    if on_card:
        return Needs(BASE_BYTES + LOADING_BYTES_PER_PARAMETER * parameters, BYTES_PER_PARAMETER * parameters)
    return Needs(BASE_BYTES + BYTES_PER_PARAMETER * parameters)


@lru_cache(maxsize=256)
def _parameters(backbone: str) -> int:
    try:
        return account_of(backbone.removesuffix(RANDOM_SUFFIX)).parameters
    except TokenworthError:
        return 0


@dataclass(slots=True)
class Slots:
    """Free places for cells."""

    free: list[str]
    """Devices, one a cell: "auto" or "cuda:1"."""
    memory: Mapping[str, int]
    """Bytes of main memory (MAIN) and of every card."""
    _taken: list[tuple[str, Needs]] = field(default_factory=list)

    def fitting(self, cell: Cell) -> str | None:
        """A free device on which the cell fits beside what runs."""
        return next((device for device in dict.fromkeys(self.free) if self._fits(device, _needs(cell, device))), None)

    def _fits(self, device: str, needs: Needs) -> bool:
        main = sum(taken.main for _, taken in self._taken)
        card = sum(taken.card for place, taken in self._taken if place == device)
        in_main = not self._taken or main + needs.main <= self.memory[MAIN]
        on_card = not card or card + needs.card <= self.memory[device]
        return in_main and on_card

    def take(self, device: str, cell: Cell) -> None:
        """A cell begins on a device."""
        self.free.remove(device)
        self._taken.append((device, _needs(cell, device)))

    def leave(self, device: str, cell: Cell) -> None:
        """It has ended."""
        self._taken.remove((device, _needs(cell, device)))
        self.free.append(device)


def _needs(cell: Cell, device: str) -> Needs:
    return needs_of(cell, on_card=device.startswith("cuda"))


def slots_here(workers: int | None) -> Slots:
    """One slot a worker, on the cards in turn, else on the processor; None takes one a card, or half the processors."""
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    n = workers or cards or max(1, (os.cpu_count() or 2) // 2)
    memory = {f"cuda:{i}": int(torch.cuda.mem_get_info(i)[0]) for i in range(cards)}
    return Slots([f"cuda:{i % cards}" if cards else "auto" for i in range(n)], {MAIN: free_memory(), **memory})
