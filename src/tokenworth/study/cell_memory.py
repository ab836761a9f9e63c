"""The memory a cell may take, estimated before it begins: so that cells that run together find what they need.

    the process      its libraries, the texts and their features
    what learns      weights, gradients, and activations of a batch of long texts, counted on the model itself
    what only reads  weights, a batch on its way through one block, and the context moments of an assessment

Texts are taken as long as they may be, and batches as not cut: most cells take less.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from tokenworth.adaptation.forecast.route_forecast import untrained
from tokenworth.adaptation.forecast.training_memory import count_memory
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig, make_config
from tokenworth.backbones import Account, account_of
from tokenworth.backbones.loading.loader import RANDOM_SUFFIX
from tokenworth.encode.forward_pass import batch_tokens_on
from tokenworth.errors import TokenworthError
from tokenworth.features.layer_groups import moment_bytes
from tokenworth.study.grid import ASSESS, COUNT, Cell

BASE_BYTES = 1_200_000_000
"""Of a process with its libraries, texts and features: .5 to 1.2 GB in the cells of docs/results/decision.md."""
_ALLOCATED = 1.5
"""Times the activations: what backward passes add for a moment, and what allocators cannot use (docs/log.md)."""
_ON_CARD = 2
"""Bytes of a number on a card, where products are in 16 bits."""
_HERE = 4
_LONG = 512
"""Tokens of a long text where no setting cuts it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes a cell may take."""

    main: int
    card: int = 0


def needs_of(cell: Cell, *, on_card: bool) -> Needs:
    """Memory of a cell; that of the process alone where its backbone cannot be counted."""
    if cell.backbone is None or cell.route == COUNT:
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
    wide, account = _ON_CARD if on_card else _HERE, account_of(backbone)
    if route in TRAINED:
        whole = _of_training(backbone, route, make_config(json.loads(settings)), wide)
    else:
        whole = _of_reading(account, wide, moments=route == ASSESS)
    return _HERE * account.parameters, round(whole)


def _of_training(backbone: str, route: str, config: AdaptConfig, wide: int) -> float:
    model, head = untrained(backbone, route, config, n_classes=2)
    held = count_memory(model, head, bytes_a_number=wide, bits=config.quantise, device=_kind(wide))
    texts = min(config.batch, config.micro_batch or config.batch)
    activations = held.kept.padded(np.full(texts, config.max_length or _LONG))
    return held.state + _ALLOCATED * activations


def _of_reading(account: Account, wide: int, *, moments: bool) -> float:
    # What a block holds of a token at once is little more than what its linear maps put out.
    widest = max(block.linear_flops for block in account.blocks) / (2 * account.context * account.width)
    passing = 2 * wide * widest * batch_tokens_on(_kind(wide))
    kept = moment_bytes(len(account.blocks) + 1, account.width) if moments else 0
    return wide * account.parameters + passing + kept


def _kind(wide: int) -> str:
    return "cuda" if wide == _ON_CARD else "cpu"
