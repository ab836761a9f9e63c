"""Keyword settings of public calls: checked by their annotations, before anything is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, get_type_hints

from tokenworth.base.sentences import refusal
from tokenworth.settings.validation import fit_all, refuse_unknown, unknown_names

P = ParamSpec("P")
R = TypeVar("R")


def setting_names(call: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a call, those that collect the rest left out."""
    parameters = inspect.signature(call).parameters.values()
    return frozenset(one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))


def settings_for(
    call: Callable[..., Any], given: Mapping[str, Any], owner: str, beside: Collection[str] = ()
) -> dict[str, Any]:
    """Settings that are handed on to another call, checked before anything is loaded.

    Args:
        call: takes them.
        given: by name.
        owner: who was given them, with its verb: "decide has".
        beside: names that the owner has itself.

    Raises:
        SettingError: a name that neither has (with the nearest they have), or values that do not fit.
    """
    mistakes = list(unknown_names(given, setting_names(call) | set(beside), owner))
    fitted = fit_all(given, get_type_hints(call, include_extras=True), mistakes)
    if mistakes:
        raise refusal("", mistakes)
    return {**given, **fitted}


def checked_arguments(call: Callable[P, R]) -> Callable[P, R]:
    """The same call, which refuses names it does not have and values that do not fit its annotations.

    Raises:
        SettingError: all of them, with the nearest known name.
    """
    parameters = inspect.signature(call).parameters.values()
    collected = {one.name for one in parameters if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    by_place = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    collects = any(one.kind is one.VAR_KEYWORD for one in parameters)

    @cache
    def hints() -> dict[str, Any]:
        return get_type_hints(call, include_extras=True)

    @wraps(call)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not collects:
            refuse_unknown(kwargs, setting_names(call), f"{call.__name__} has")
        given = dict(zip(by_place, args, strict=False)) | kwargs
        mistakes: list[str] = []
        known = {name: hint for name, hint in hints().items() if name in given and name not in collected}
        fitted = fit_all(given, known, mistakes)
        if mistakes:
            raise refusal("", mistakes)
        return call(*args, **{name: fitted.get(name, value) for name, value in kwargs.items()})

    return checked
