"""Damages a folder of results as disks, editors and strangers do: one file, in one of many ways, said in words."""

import json
import random
from pathlib import Path
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, "", "x", "\x1b[31m", "\ud800", -1, 0, 10**30, 10**400, 1e308, -0.5, [], [None], {}, {"": None},
    [[["deep"]]], {"name": 5}, "nan", [1, "a", None],
)  # fmt: skip
"""What stands where something else should."""


def damaged(result_folder: Path, rng: random.Random) -> str:
    """Damage one file of a folder in place.

    Args:
        result_folder: what adapt, assess, decide, trace, pretrain or study run wrote; files below it count.
        rng: decides which file and how.

    Returns:
        What was done, for a failing test to print.
    """
    paths = sorted(path for path in Path(result_folder).rglob("*") if path.is_file() and path.name != ".lock")
    path = rng.choice(paths)
    harms = [_change_value, _change_value, _change_value, _drop_key] if path.suffix == ".json" else []
    harm = rng.choice([*harms, _cut, _flip, _empty, _remove, _replace, _make_folder])
    return f"{path.relative_to(result_folder)}: {harm(path, rng)}"


def _change_value(path: Path, rng: random.Random) -> str:
    """One value of the JSON, at any depth, becomes an odd one."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    places = list(_places(whole))
    if not places:
        return _cut(path, rng)
    holder, key, words = rng.choice(places)
    holder[key] = rng.choice(ODD_VALUES)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return f"{words} = {ascii(holder[key])[:60]}"


def _drop_key(path: Path, rng: random.Random) -> str:
    whole = json.loads(path.read_text(encoding="utf-8"))
    places = [place for place in _places(whole) if isinstance(place[0], dict)]
    if not places:
        return _cut(path, rng)
    holder, key, words = rng.choice(places)
    del holder[key]
    path.write_text(json.dumps(whole), encoding="utf-8")
    return f"{words} removed"


def _places(value: Any, words: str = "") -> Any:
    """(holder, key, words) of everything inside; of a long list its first and last entries."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(i, value[i]) for i in sorted({0, len(value) - 1})] if value else []
    else:
        return
    for key, inner in pairs:
        below = f"{words}.{key}"
        yield value, key, below
        yield from _places(inner, below)


def _cut(path: Path, rng: random.Random) -> str:
    content = path.read_bytes()
    length = rng.randrange(len(content) + 1)
    path.write_bytes(content[:length])
    return f"cut to {length} bytes"


def _flip(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    return "a bit flipped"


def _empty(path: Path, _rng: random.Random) -> str:
    path.write_bytes(b"")
    return "empty"


def _remove(path: Path, _rng: random.Random) -> str:
    path.unlink()
    return "removed"


def _replace(path: Path, rng: random.Random) -> str:
    content = rng.choice([b"\xff\xfe\x00", b"null", b"[]", b'"text"', b"{}", b"[" * 100_000, b"9" * 5_000, b"NaN"])
    path.write_bytes(content)
    return f"holds {content[:10]!r}"


def _make_folder(path: Path, _rng: random.Random) -> str:
    path.unlink()
    path.mkdir()
    return "a folder"
