"""Public calls whose keywords are the fields of a settings class: declared there, checked there, described there."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import MISSING
from functools import wraps
from typing import ParamSpec, TypeVar, get_type_hints

from tokenworth.settings.declarations import Setting, declared_settings
from tokenworth.settings.validation import make

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R")


def keywords_of(kind: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Turn a function of one settings object into one of its fields as arguments.

    Its signature and the Args of its docstring are those of the class.  The call refuses names that the class does not
    have and values that do not fit, all at once, as a SettingError.

    Args:
        kind: a frozen dataclass.
    """
    assert isinstance(kind, type), "a settings class"
    settings = declared_settings(kind)
    places = [setting.name for setting in settings if setting.by_place]
    signature = inspect.Signature([_parameter(setting) for setting in settings])

    def decorate(call: Callable[[S], R]) -> Callable[P, R]:
        owner = f"{call.__name__} has"

        @wraps(call)
        def by_keywords(*args: P.args, **kwargs: P.kwargs) -> R:
            by_place = dict(zip(places, args, strict=False))
            if len(args) > len(places) or by_place.keys() & kwargs:
                signature.bind(*args, **kwargs)  # Python's own words for arguments too many, or twice
            return call(make(kind, by_place | kwargs, owner))

        del by_keywords.__wrapped__  # its signature is another
        returned = get_type_hints(call)["return"]
        by_keywords.__dict__["__signature__"] = signature.replace(return_annotation=returned)
        by_keywords.__annotations__ = {setting.name: setting.hint for setting in settings} | {"return": returned}
        by_keywords.__doc__ = _described(inspect.cleandoc(call.__doc__ or ""), settings)
        return by_keywords

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if setting.by_place else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if setting.default is MISSING else setting.default
    return inspect.Parameter(setting.name, kind, default=default, annotation=setting.written)


def _described(text: str, settings: list[Setting]) -> str:
    """The docstring with the section Args, which stands before Returns and Raises."""
    fill = textwrap.TextWrapper(116, initial_indent="    ", subsequent_indent=" " * 8).fill
    head, mark, tail = text.partition("\n\nRaises:\n")
    lines = [fill(f"{setting.name}: {setting.help}") for setting in settings]
    return "\n".join([f"{head}\n\nArgs:", *lines]) + mark + tail
