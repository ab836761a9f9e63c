"""Hardware and budgets: from FLOPs to seconds, from seconds to money, and what a budget in any of them allows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tokenworth.errors import SettingError

HARDWARE = {
    "t4": (65e12, 16e9),
    "l4": (121e12, 24e9),
    "a10g": (70e12, 24e9),
    "rtx4090": (165e12, 24e9),
    "v100": (125e12, 32e9),
    "a100": (312e12, 80e9),
    "h100": (989e12, 80e9),
    "h200": (989e12, 141e9),
}
"""Dense 16-bit FLOP/s on paper, and memory in bytes, of cards that can be named; makers' data sheets."""
SHARE = 0.3
"""Of that rate which training keeps up: a guess that no run here has checked; the machine at hand is measured."""
HERE = "here"

_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Machine:
    """What runs are forecast for."""

    name: str
    rate: float
    """Matrix products in FLOP/s: measured here, or a share of a data sheet's."""
    measured: bool
    memory: float
    """Bytes: those that are free here, or all of a card's."""
    price: float | None = None
    """Money an hour."""

    def money(self, seconds: float) -> float | None:
        """What a time costs; None where no price was given."""
        return None if self.price is None else self.price * seconds / 3600


def named_machine(name: str, price: float | None = None) -> Machine:
    """A card by its name.

    Raises:
        SettingError: it is not known.
    """
    card = HARDWARE.get(name.lower())
    if card is None:
        raise SettingError(f"hardware {name!r} is not known; choose from {HERE}, {', '.join(HARDWARE)}")
    return Machine(name.lower(), SHARE * card[0], measured=False, memory=card[1], price=price)


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on one kind of cost."""

    text: str
    kind: str
    """seconds, money or flops."""
    limit: float

    def allows(self, *, seconds: float, money: float | None, flops: float) -> bool:
        """Whether a run fits."""
        return {"seconds": seconds, "money": money or 0.0, "flops": flops}[self.kind] <= self.limit


def parse_budget(text: str, price: float | None = None) -> Budget:
    """2h, 90min, 45s, 1.5d; $5; 1e15flops.

    Raises:
        SettingError: it is none of these, or is money without a price.
    """
    match = re.fullmatch(r"(\$?)(.+?)(flops?|s|min|m|h|d|)", text.strip().lower().replace(" ", ""))
    dollar, number, unit = match.groups() if match else ("", "", "")
    if dollar and price is None:
        raise SettingError(f"a budget of {text} needs --price, what an hour of the machine costs")
    try:
        amount = float(number)
    except ValueError:
        amount = -1.0
    if bool(dollar) == bool(unit) or not 0 < amount < float("inf"):
        raise SettingError(f"budget {text!r} is not understood; write it as 2h, 90min, $5 or 1e15flops")
    if dollar:
        return Budget(text, "money", amount)
    if unit in _SECONDS:
        return Budget(text, "seconds", amount * _SECONDS[unit])
    return Budget(text, "flops", amount)
