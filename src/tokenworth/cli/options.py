"""Settings classes become the options of a command; what was given of them reaches it by name."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from cyclopts import Parameter

from tokenworth.cli.console import set_verbosity
from tokenworth.errors import MisuseError, SettingError
from tokenworth.settings import Bounds, ByComma, refusal
from tokenworth.settings.bounds import Misfit
from tokenworth.settings.conversion import fitting
from tokenworth.settings.declarations import NoOption, OptionName, Setting, declared

_MORE = {"max_texts": Annotated[int, Bounds(least=2)]}
"""What a command asks of an option beyond what its setting does: one text of two classes is no sample."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a command prints."""

    json: Annotated[bool, Parameter(negative=())] = False
    """Print the result as JSON."""
    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    """No progress."""
    verbose: Annotated[bool, Parameter(alias="-v", negative=())] = False
    """Show what the libraries say."""


class Options:
    """Fields of a settings class as options: all that a command line can name, those named, or all but some.

    Args:
        kind: the class.
        only: names.
        but: names.
        defaults: whether help shows the defaults of the class; another call may have its own.
    """

    def __init__(self, kind: type[Any], *only: str, but: Sequence[str] = (), defaults: bool = True) -> None:
        self.kind = kind
        self.settings = [
            setting if defaults else replace(setting, default=None)
            for setting in declared(kind)
            if not setting.by_place and setting.name not in but and (not only or setting.name in only)
            and _type_of(setting.hint) is not None
        ]  # fmt: skip

    def help_of(self, name: str) -> str:
        """The sentence of a setting."""
        return next(setting.help for setting in declared(self.kind) if setting.name == name)


class Given(dict[str, Any]):
    """What was given, by the name of the setting; `of` takes the part of one settings class."""

    def __init__(self, values: Mapping[str, Any], bundles: Sequence[Options]) -> None:
        super().__init__(values)
        self._names = {bundle.kind: [setting.name for setting in bundle.settings] for bundle in bundles}

    def of(self, kind: type[Any]) -> dict[str, Any]:
        """Keywords for what takes the settings of that class."""
        return {name: self[name] for name in self._names[kind] if name in self}

    @property
    def out(self) -> Path | None:
        """The folder for results."""
        return self.get("out")

    @property
    def quiet(self) -> bool:
        """Whether nothing is said of the work."""
        return bool(self.get("quiet"))

    @property
    def json(self) -> bool:
        """Whether a program reads what is printed."""
        return bool(self.get("json"))


_NO_CACHE = inspect.Parameter(
    "no_cache",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[bool, Parameter(help="Keep nothing of the forward pass.", negative=())],
)


def said(text: str, hint: Any = None) -> Parameter:
    """Help for a parameter that is no setting, and the type and bounds that it has."""
    return Parameter(help=text, negative=(), converter=None if hint is None else _reader("", hint))


def takes(*bundles: Options | type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of settings classes.

    Its parameter `given` holds what was given of them.  Help and bounds of its own parameters that are named as
    a setting are those of the setting.  With an option --allow-pickle every backbone the command meets may be read so.
    """
    several = [bundle if isinstance(bundle, Options) else Options(bundle) for bundle in bundles]
    settings: dict[str, Setting] = {}
    for setting in (setting for bundle in several for setting in bundle.settings):
        settings.setdefault(setting.name, setting)
    described = {one.name: one for bundle in reversed(several) for one in declared(bundle.kind)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(inspect.signature(command, eval_str=True).parameters)
        wants = own.pop("given", None) is not None
        parameters = [_of_command(one, described.get(one.name)) for one in own.values()]
        for name, setting in settings.items():
            parameters += [_option(setting)] if name not in own else []
            parameters += [_NO_CACHE] if name == "cache" else []
        signature = inspect.Signature(parameters)

        def run(*args: Any, **kwargs: Any) -> None:
            values = {name: value for name, value in signature.bind(*args, **kwargs).arguments.items()
                      if value is not None}  # fmt: skip
            _refuse_misfits(values)
            _choose_cache(values)
            set_verbosity(verbose=values.get("verbose", False), quiet=values.get("quiet", False))
            explicit = [values.pop(one.name) for one in own.values()
                        if one.kind is one.POSITIONAL_ONLY and one.name in values]  # fmt: skip
            named = {name: values.pop(name) for name in own if name in values}
            with _pickles(values.get("allow_pickle", False)):
                command(*explicit, **named, **({"given": Given(values, several)} if wants else {}))

        run.__name__ = run.__qualname__ = command.__name__
        run.__doc__ = command.__doc__
        run.__dict__["__signature__"] = signature
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _refuse_misfits(values: dict[str, Any]) -> None:
    """All at once, by the names that options have."""
    if wrong := {name: value for name, value in values.items() if isinstance(value, Misfit)}:
        told = refusal("", [f"--{name.replace('_', '-')} {misfit}" for name, misfit in wrong.items()])
        raise MisuseError(str(told), told.mistakes)


def _choose_cache(values: dict[str, Any]) -> None:
    if values.pop("no_cache", False):
        if "cache" in values:
            raise SettingError("--cache and --no-cache contradict each other; give one of them")
        values["cache"] = False


def _pickles(allowed: bool) -> AbstractContextManager[None]:
    if not allowed:
        return nullcontext()
    from tokenworth.backbones.loading.weight_files import pickles_allowed

    return pickles_allowed()


def _of_command(parameter: inspect.Parameter, setting: Setting | None) -> inspect.Parameter:
    """A parameter that stands in the command itself, with what is known of the setting of its name."""
    kind, marks = parameter.annotation, []
    if setting is not None and get_origin(kind) is not Annotated:
        reader = _reader(setting.name, setting.hint, several=get_origin(kind) is list)
        marks = [Parameter(help=setting.help, converter=reader, negative=())]
    shown = Parameter(show_default=parameter.default not in (None, False))
    return parameter.replace(annotation=_annotated(kind, *marks, shown))


def _option(setting: Setting) -> inspect.Parameter:
    """Its default is that of the call it is handed to, so that a file of settings may go before it."""
    kind = _type_of(setting.hint)
    marks: dict[str, Any] = {} if kind is bool else {"negative": ()}
    default = ",".join(map(str, setting.default)) if isinstance(setting.default, tuple) else setting.default
    shown = "" if default in (MISSING, None, "") or isinstance(default, bool) else f" [default: {default}]"
    name = next((mark.name for mark in _marks(setting.hint) if isinstance(mark, OptionName)), setting.name)
    parameter = Parameter(
        name=f"--{name.replace('_', '-')}",
        help=setting.help + shown,
        converter=None if kind is bool else _reader(setting.name, setting.hint, several=_is_list(setting.hint)),
        show_default=False,
        **marks,
    )
    own = [mark for mark in _marks(setting.hint) if isinstance(mark, Parameter)]
    absent = inspect.Parameter.empty if setting.default is MISSING else None
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=absent, annotation=_annotated(kind, parameter, *own)
    )


def _annotated(kind: Any, *marks: Any) -> Any:
    return cast("Any", Annotated)[(kind, *marks)]


def _reader(name: str, hint: Any, *, several: bool = False) -> Callable[[Any, Sequence[Any]], Any]:
    """Texts to what the setting takes, or why they do not fit."""
    hint = _MORE.get(name, hint)

    def read(kind: Any, tokens: Sequence[Any]) -> Any:
        values = [_value(token.value, hint) for token in tokens]
        try:
            value = fitting(values if several else values[-1], hint)
        except Misfit as misfit:
            return misfit
        return Path(value) if Path in (kind, *get_args(kind)) else value

    return read


def _value(text: str, hint: Any) -> Any:
    """A number where the setting takes numbers and no texts."""
    kinds = set(_kinds(hint))
    if any(isinstance(mark, ByComma) for mark in _marks(hint)) and not any(str in get_args(kind) for kind in kinds):
        return _numbers(text)
    words = {str(word): word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)}
    if str in kinds or not kinds & {int, float}:
        return words.get(text, text)
    try:
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def _numbers(text: str) -> list[float]:
    try:
        return [int(part) if part.strip().isdecimal() else float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"{text!r} is no list of numbers; write them as 16,64,128") from None


def _type_of(hint: Any) -> type[Any] | None:
    """What help shows; None for what no command line can name."""
    kinds = set(_kinds(hint))
    if any(isinstance(mark, NoOption) for mark in _marks(hint)) or kinds == {dict}:
        return None
    if _is_list(hint):
        return list[str]
    shown = (Path, str, float, int, bool)
    return next((kind for kind in shown if kind in kinds), str)


def _is_list(hint: Any) -> bool:
    kinds = list(_members(hint))
    by_comma = any(isinstance(mark, ByComma) for mark in _marks(hint))
    return bool(kinds) and all(get_origin(kind) in (tuple, Sequence) for kind in kinds) and not by_comma


def _members(hint: Any) -> Iterator[Any]:
    """The types of a union, without what stands beside them."""
    if get_origin(hint) is Annotated:
        yield from _members(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for kind in get_args(hint):
            yield from _members(kind)
    elif hint is not type(None):
        yield hint


def _kinds(hint: Any) -> Iterator[Any]:
    for kind in _members(hint):
        yield dict if get_origin(kind) is dict else kind


def _marks(hint: Any) -> Iterator[Any]:
    """What stands beside a type and those of its union."""
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
        yield from _marks(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for kind in get_args(hint):
            yield from _marks(kind)
