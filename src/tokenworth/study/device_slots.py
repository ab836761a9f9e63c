"""Where cells may run at the same time: slots on devices, and the memory they share.

By an estimate before they begin, cells that run together never take more than there is: of main memory, nor of the card
they are on.  What others take of main memory meanwhile, another study say, counts too.  Alone, any cell may try.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tokenworth.base.machine import free_memory, processors
from tokenworth.study.cell_memory import Needs, needs_of
from tokenworth.study.grid import Cell

MAIN = "main"


@dataclass(slots=True)
class Slots:
    """Free places for cells."""

    free: list[str]
    """Devices, one a cell: "auto" or "cuda:1"."""
    memory: Mapping[str, int]
    """Bytes of main memory (MAIN) and of every card, before any cell began."""
    free_now: Callable[[], int] = free_memory
    """Bytes of main memory."""
    _taken: list[tuple[str, Needs]] = field(default_factory=list)

    def fitting(self, cell: Cell) -> str | None:
        """A free device on which the cell fits beside what runs."""
        return next((device for device in dict.fromkeys(self.free) if self._fits(device, _needs(cell, device))), None)

    def _fits(self, device: str, needs: Needs) -> bool:
        main = sum(taken.main for _, taken in self._taken)
        card = sum(taken.card for place, taken in self._taken if place == device)
        in_main = not self._taken or (main + needs.main <= self.memory[MAIN] and needs.main <= self.free_now())
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
    n = workers or cards or max(1, processors() // 2)
    memory = {f"cuda:{i}": int(torch.cuda.mem_get_info(i)[0]) for i in range(cards)}
    return Slots([f"cuda:{i % cards}" if cards else "auto" for i in range(n)], {MAIN: free_memory(), **memory})
