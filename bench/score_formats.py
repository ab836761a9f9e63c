"""What bfloat16 costs in every score and probe of an assessment: the same texts and layers in float32 and in bfloat16.

    python bench/score_formats.py --model FOLDER --data TASKS [--task rotten_tomatoes] [--texts 300] [--max-length 128]
                                  [--layers 0,8,15,22,30]

A row a score: its range over the layers in float32, the largest difference of any layer, and that difference beside the
half-width of the score's 95 % interval at the same layer, where it has one.
"""

from __future__ import annotations

import math
from typing import Any

import tokenworth as tw
from layer_options import layer_options

FORMATS = ("float32", "bfloat16")
_PARTS = ("_low", "_high", "_chance", "_chance_low", "_chance_high")


def main() -> None:
    """Print both tables."""
    options, task, layers = layer_options(__doc__, 300)
    found = {
        name: tw.assess(
            options.model, task, dtype=name, layers=layers, max_length=options.max_length, cache=False, conventions=True
        )
        for name in FORMATS
    }
    print(
        "| score | in float32 | largest difference | at layer | of the interval's half-width |\n|---|--:|--:|--:|--:|"
    )
    for name in _scores(found["float32"].layers):
        _score_row(name, *(one.layers for one in found.values()))
    print("\n| probe | float32 | bfloat16 |\n|---|--:|--:|")
    for wide, narrow in zip(*(one.probes for one in found.values()), strict=True):
        print(f"| {wide['kind']} accuracy | {wide['accuracy']:.4f} | {narrow['accuracy']:.4f} |")
    print(f"\nbest layer: {' and '.join(str(one.best_layer) for one in found.values())}")


def _scores(rows: list[dict[str, Any]]) -> list[str]:
    """Every number of a layer that is a score and not a part of one."""
    numbers = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
    return [name for name in numbers if name not in ("layer", "penalty") and not name.endswith(_PARTS)]


def _score_row(name: str, wide: list[dict[str, Any]], narrow: list[dict[str, Any]]) -> None:
    apart = [
        (abs(two[name] - one[name]), one["layer"], _half(name, one))
        for one, two in zip(wide, narrow, strict=True)
        if math.isfinite(_number(one.get(name))) and math.isfinite(_number(two.get(name)))
    ]
    if not apart:
        print(f"| {name} | - | - | - | - |")
        return
    values = [one[name] for one in wide if math.isfinite(_number(one.get(name)))]
    most, layer, half = max(apart)
    share = f"{most / half:.2f}" if half else "-"
    print(f"| {name} | {min(values):.4g} to {max(values):.4g} | {most:.2g} | {layer} | {share} |")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _half(name: str, row: dict[str, Any]) -> float:
    low, high = (_number(row.get(f"{name}_{end}")) for end in ("low", "high"))
    return (high - low) / 2 if math.isfinite(high - low) else 0.0


if __name__ == "__main__":
    main()
