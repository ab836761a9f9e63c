"""Losses along a run, read from its metrics.jsonl and brought to the tokens of its checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class Losses:
    """By tokens seen; empty where the run has noted none."""

    bits_per_byte: dict[int, float]
    """On held-out text, mean over sources."""
    sources: tuple[str, ...]
    train: dict[int, float]
    """Nats a token, as the run noted them."""
    notes: tuple[str, ...] = ()

    def bits_at(self, tokens: int) -> float:
        """Bits a byte, between two evaluations linear in log(1 + tokens); NaN outside them."""
        return _between(self.bits_per_byte, tokens)

    def train_at(self, tokens: int) -> float:
        """Training loss in nats a token, likewise."""
        return _between(self.train, tokens)


def read_losses(path: Path) -> Losses:
    """Of several rows with the same tokens (an interrupted run goes on from its checkpoint) the last one holds."""
    bits: dict[int, float] = {}
    train: dict[int, float] = {}
    sources: set[str] = set()
    rows, unread = _rows(path)
    for row in rows:
        tokens, loss, held_out = row.get("tokens"), row.get("loss"), row.get("held_out")
        if not _finite(tokens):
            continue
        if _finite(loss):
            train[int(tokens)] = float(loss)
        if known := _bits_by_source(held_out):
            bits[int(tokens)] = float(np.mean(list(known.values())))
            sources |= set(known)
    notes = (f"{path.name}: {unread} line(s) that are not JSON were passed over.",) if unread else ()
    return Losses(bits, tuple(sorted(sources)), train, notes)


def _rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Objects of a JSON lines file, and how many lines could not be read; the last one of a killed run may be cut."""
    if not path.is_file():
        return [], 0
    rows, unread = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            unread += 1
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows, unread


def _bits_by_source(held_out: Any) -> dict[str, float]:
    return {
        str(source): float(facts["bits_per_byte"])
        for source, facts in (held_out.items() if isinstance(held_out, dict) else ())
        if isinstance(facts, dict) and _finite(facts.get("bits_per_byte"))
    }


def _finite(value: Any) -> TypeGuard[float]:
    """Whether it is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _between(known: dict[int, float], tokens: int) -> float:
    if not known or not min(known) <= tokens <= max(known):
        return math.nan
    places = sorted(known)
    return float(np.interp(np.log1p(tokens), np.log1p(places), [known[place] for place in places]))
