"""The shape of a study file: its keys, and what kind of value each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from tokenworth.study.grid import COUNT, Study

_KEYS = {one.name for one in fields(Study)} - {"of_route"}


def shape_problems(found: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the values of a study file, a sentence each, before any of them is used."""
    for name in found:
        if name not in _KEYS:
            near = get_close_matches(str(name), _KEYS, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(_KEYS))}"
            yield f"a study has no key {name!r}; {hint}"
    if not found.get("routes"):
        yield "a study needs routes; write 'routes: [...]'"
    if not found.get("tasks") and set(listed(found.get("routes") or ())) != {COUNT}:
        yield "a study needs tasks; write 'tasks: [...]'"
    for name, (fits, wanted) in _WANTED.items():
        if name in found and not fits(found[name]):
            yield f"{name} must be {wanted}, not {found[name]!r}"
    for route, own in found["routes"].items() if isinstance(found.get("routes"), dict) else ():
        if own is not None and not isinstance(own, dict):
            yield f"the route {route} takes settings, such as 'lr: 0.001', not {own!r}"
        elif own and "seeds" in own and not _are_seeds(own["seeds"]):
            yield f"seeds of the route {route} must be {_SEEDS}, not {own['seeds']!r}"


def listed(value: Any) -> tuple[Any, ...]:
    """The values of a list, or one that stands alone; of anything else nothing."""
    if isinstance(value, str | int):
        return (value,)
    return tuple(value) if isinstance(value, list | tuple | dict) else ()


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_seeds(value: Any) -> bool:
    seeds = listed(value)
    return not isinstance(value, dict) and bool(seeds) and all(_is_whole(seed) and seed >= 0 for seed in seeds)


def _are_names(value: Any) -> bool:
    of_kind = isinstance(value, str | int | list | tuple)
    return of_kind and all(isinstance(name, str) or _is_whole(name) for name in listed(value))


_SEEDS = "a whole number of at least 0, or a list of them"
_NAMES = "a list of names"
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str) or _is_whole(value), "a name"),
    "tasks": (_are_names, _NAMES),
    "backbones": (_are_names, _NAMES),
    "seeds": (_are_seeds, _SEEDS),
    "routes": (lambda value: value is None or isinstance(value, str | list | dict), "a list, or routes with settings"),
    "settings": (lambda value: isinstance(value, dict), "names with their values"),
    "axes": (lambda value: isinstance(value, dict), "names with their values"),
    "variants": (lambda value: isinstance(value, dict), "names with their values"),
    "data": (lambda value: value is None or isinstance(value, str), "a folder"),
    "max_texts": (lambda value: value is None or (_is_whole(value) and value > 0), "a whole number of at least 1"),
}
"""Whether a value of a key is of its kind, and how the kind is called."""
