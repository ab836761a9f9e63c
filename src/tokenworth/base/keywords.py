"""Names that a call or a class of settings does not have: one sentence with the nearest that it has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tokenworth.base.sentences import nearest, quoted, refusal

P = ParamSpec("P")
R = TypeVar("R")


def unknown_names(values: Mapping[Any, Any], known: Collection[str], owner: str) -> Iterator[str]:
    """A sentence for every name that is not known, with the nearest that is; `owner` has its verb: "a route has"."""
    for name in values:
        if name not in known:
            yield f"{line_of(values, name)}{owner} no setting {quoted(name)}; {nearest(name, known)}"


def line_of(values: Mapping[Any, Any], name: object) -> str:
    """Where a setting of a file stands, such as "line 3: "; else ""."""
    line = getattr(values, "lines", {}).get(name)
    return "" if line is None else f"line {line}: "


def known_keywords(call: Callable[P, R]) -> Callable[P, R]:
    """The same call, which refuses keywords it does not have, each with the nearest that it has, as a SettingError."""
    names = inspect.signature(call).parameters

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if mistakes := [*unknown_names(kwargs, names, f"{call.__name__} has")]:
            raise refusal("", mistakes)
        return call(*args, **kwargs)

    return checked
