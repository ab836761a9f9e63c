"""Short names for things that lie somewhere: the last part of a path, and more of it where two would be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path

from tokenworth.assessment.assessment_result import Assessment


def names_apart(assessments: Sequence[Assessment], models: Sequence[str]) -> list[str]:
    """A backbone's own name each, and more of its path, as it was asked for, where two have the same."""
    names = [str(assessment.backbone["name"]) for assessment in assessments]
    places = [str(Path(model).absolute()) for model in models]
    apart = short_names(places)
    return [name if names.count(name) == 1 else apart[place] for name, place in zip(names, places, strict=True)]


def short_names(places: Iterable[str], *, first: Callable[[str], str] | None = None) -> dict[str, str]:
    """The shortest end of each path that no other has: llama; of runs/a/llama and runs/b/llama a/llama and b/llama.

    Places are paths, ids of the hub, or plain names; ``first`` is tried before the last part of the path.
    """
    left, short = sorted(set(places)), dict[str, str]()
    ends: Iterator[Callable[[str], str]] = (partial(_last_parts, n) for n in count(1))
    for called in ends if first is None else chain([first], ends):
        names = {place: called(place) for place in left}
        often = Counter(names.values())
        short |= {place: name for place, name in names.items() if often[name] == 1 or name == place}
        left = [place for place in left if place not in short]
        if not left:
            return short
    raise AssertionError("places differ, so that at last their whole paths do")


def _last_parts(n: int, place: str) -> str:
    parts = Path(place).parts
    return "/".join(parts[-n:]) if len(parts) > n else place
