"""Where cells may run at the same time: slots on devices, and the memory they share.

By an estimate before they begin, cells that run together never take more than there is: of main memory, nor of the card
they are on.  What others take of main memory meanwhile, another study say, counts too.  Alone, any cell may try.

    the process      its libraries, the texts and their features
    what learns      weights, gradients, and activations of a batch of long texts, counted on the model itself
    what only reads  weights, a batch on its way through one block, and the context moments of an assessment

Texts are taken as long as they may be, and batches as not cut: most cells take less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from tokenworth.adaptation.forecast.route_forecast import untrained
from tokenworth.adaptation.forecast.training_memory import count_memory
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig, make_config
from tokenworth.backbones import account_of
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.machine import free_memory, processors
from tokenworth.encode.forward_pass import batch_tokens_on
from tokenworth.endpoints.endpoint_settings import is_endpoint
from tokenworth.errors import TokenworthError
from tokenworth.features.layer_groups import moment_bytes
from tokenworth.study.grid import ASSESS, COUNT, Cell

MAIN = "main"
BASE_BYTES = 1_200_000_000
"""Of a process with its libraries, texts and features: .5 to 1.2 GB in the cells of docs/results/decision.md."""
_ALLOCATED = 1.5
"""Times the activations: what backward passes add for a moment, and what allocators cannot use (docs/log.md)."""
_ON_CARD = 2  # bytes of a number on a card, where products are in 16 bits
_HERE = 4
_LONG = 512  # tokens of a long text where no setting cuts it


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes a cell may take."""

    main: int
    card: int = 0


def needs_of(cell: Cell, *, on_card: bool) -> Needs:
    """Memory of a cell; that of the process alone where its backbone cannot be counted."""
    if cell.backbone is None or cell.route == COUNT or is_endpoint(cell.backbone):
        return Needs(BASE_BYTES)
    backbone, settings = cell.backbone.removesuffix(RANDOM_SUFFIX), json.dumps(cell.settings, sort_keys=True)
    try:
        weights, whole = _counted(backbone, cell.route, settings, on_card)
    except TokenworthError:
        return Needs(BASE_BYTES)
    # On its way to a card a model passes through main memory, in float32 where all of it is to learn.
    return Needs(BASE_BYTES + weights, whole) if on_card else Needs(BASE_BYTES + whole)


@cache
def _counted(backbone: str, route: str, settings: str, on_card: bool) -> tuple[int, int]:
    """Bytes of the weights alone, and of everything."""
    wide, kind, account = _ON_CARD if on_card else _HERE, "cuda" if on_card else "cpu", account_of(backbone)
    if route in TRAINED:
        whole = _of_training(backbone, route, make_config(json.loads(settings)), wide, kind)
    else:
        # What a block holds of a token at once is little more than what its linear maps put out.
        widest = max(block.linear_flops for block in account.blocks) / (2 * account.context * account.width)
        moments = moment_bytes(len(account.blocks) + 1, account.width) if route == ASSESS else 0
        whole = wide * account.parameters + 2 * wide * widest * batch_tokens_on(kind) + moments
    return _HERE * account.parameters, round(whole)


def _of_training(backbone: str, route: str, config: AdaptConfig, wide: int, kind: str) -> float:
    model, head = untrained(backbone, route, config, n_classes=2)
    held = count_memory(model, head, bytes_a_number=wide, bits=config.quantise, device=kind)
    texts = min(config.batch, config.micro_batch or config.batch)
    return held.state + _ALLOCATED * held.kept.padded(np.full(texts, config.max_length or _LONG))


@dataclass(slots=True)
class Slots:
    """Free places for cells."""

    free: list[str]  # devices, one a cell: "auto" or "cuda:1"
    memory: Mapping[str, int]  # bytes of main memory (MAIN) and of every card, before any cell began
    free_now: Callable[[], int] = free_memory  # bytes of main memory
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
