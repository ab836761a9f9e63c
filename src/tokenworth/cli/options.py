"""Settings classes become the options of a command; what was given of them reaches it by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import MISSING, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin

from cyclopts import Parameter

from tokenworth.cli.console import set_verbosity
from tokenworth.errors import MisuseError, SettingError
from tokenworth.settings import Bounds, Count, OutFolder, refusal
from tokenworth.settings.bounds import Misfit
from tokenworth.settings.conversion import marks_of
from tokenworth.settings.declarations import OptionName, Setting, declared_settings
from tokenworth.settings.from_text import is_list, option_type, value_from

_MORE = {"max_texts": Annotated[int, Bounds(least=2)], "max_length": Count}
"""What a command asks of an option before anything is loaded; the calls have their own sentences."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where results go, and what is said of the work."""

    out: OutFolder = None
    """Folder for the results; by default none are written, or out/COMMAND/NAME where a command needs a folder."""
    json: Annotated[bool, Parameter(negative=())] = False
    """Print the result as JSON."""
    quiet: Annotated[bool, Parameter(alias="-q", negative=())] = False
    """No progress."""
    verbose: Annotated[bool, Parameter(alias="-v", negative=())] = False
    """Show what the libraries say."""


class Options:
    """Fields of a settings class as options: all, those named, or all but some; help may leave their defaults out."""

    def __init__(self, kind: type[Any], *only: str, but: Sequence[str] = (), defaults: bool = True) -> None:
        self.kind, self.described = kind, {setting.name: setting for setting in declared_settings(kind)}
        self.settings = [
            setting if defaults else replace(setting, default=None)
            for name, setting in self.described.items()
            if (name in only if only else not setting.by_place and name not in but) and option_type(setting.hint)
        ]


class Given(dict[str, Any]):
    """What was given, by the name of the setting; `of` takes the part of one settings class."""

    def __init__(self, values: Mapping[str, Any], bundles: Sequence[Options]) -> None:
        super().__init__(values)
        self._names = {bundle.kind: [setting.name for setting in bundle.settings] for bundle in bundles}
        self.out: Path | None = self.get("out")
        self.quiet, self.json = bool(self.get("quiet")), bool(self.get("json"))

    def of(self, kind: type[Any]) -> dict[str, Any]:
        """Keywords for what takes the settings of that class."""
        return {name: self[name] for name in self._names[kind] if name in self}


def said(text: str, hint: Any = None) -> Parameter:
    """Help for a parameter that is no setting, and the type and bounds that it has."""
    return Parameter(help=text, negative=(), converter=None if hint is None else _reader(hint))


_NoCache = Annotated[bool | None, said("Keep nothing of the forward pass.")]
_NO_CACHE = inspect.Parameter("no_cache", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_NoCache)


def takes(*bundles: Options | type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of settings classes.

    Its parameter `options` holds what was given of them.  Help and bounds of its own parameters that are named as a
    setting are those of the setting.  With an option --allow-pickle every backbone the command meets may be read so.
    """
    several = [bundle if isinstance(bundle, Options) else Options(bundle) for bundle in bundles]
    settings = {setting.name: setting for bundle in reversed(several) for setting in bundle.settings}
    described = {name: setting for bundle in reversed(several) for name, setting in bundle.described.items()}
    order = dict.fromkeys(setting.name for bundle in several for setting in bundle.settings)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        stated = dict(inspect.signature(command, eval_str=True).parameters)
        wants = stated.pop("options", None) is not None
        places = [each.name for each in stated.values() if each.kind is each.POSITIONAL_ONLY]
        parameters = [_of_command(each, described.get(each.name)) for each in stated.values()]
        parameters += [_option(settings[name]) for name in order if name not in stated]
        parameters += [_NO_CACHE] if "cache" in order else []
        signature = inspect.Signature(parameters)

        def run(*args: Any, **kwargs: Any) -> None:
            values = signature.bind(*args, **kwargs).arguments
            _refuse_misfits(values)
            _choose_cache(values)
            set_verbosity(verbose=values.get("verbose", False), quiet=values.get("quiet", False))
            by_place = [values.pop(name) for name in places if name in values]
            named = {name: values.pop(name) for name in stated if name in values}
            with _pickles(values.get("allow_pickle", False)):
                command(*by_place, **named, **({"options": Given(values, several)} if wants else {}))

        run.__name__ = run.__qualname__ = command.__name__
        run.__dict__.update(__signature__=signature, bundles=several)
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def _refuse_misfits(values: Mapping[str, Any]) -> None:
    """All at once, by the names that options have."""
    wrong = [f"--{name.replace('_', '-')} {value}" for name, value in values.items() if isinstance(value, Misfit)]
    if wrong:
        refused = refusal("", wrong)
        raise MisuseError(str(refused), refused.mistakes)


def _choose_cache(values: dict[str, Any]) -> None:
    if values.pop("no_cache", False) and values.setdefault("cache", False) is not False:
        raise SettingError("--cache and --no-cache contradict each other; give one of them")


def _pickles(allowed: bool) -> AbstractContextManager[None]:
    if not allowed:
        return nullcontext()
    from tokenworth.backbones.loading.weight_files import pickles_allowed

    return pickles_allowed()


def _of_command(parameter: inspect.Parameter, setting: Setting | None) -> inspect.Parameter:
    """A parameter that stands in the command itself, with what is known of the setting of its name."""
    kind, marks = parameter.annotation, []
    if setting is not None and get_origin(kind) is not Annotated:
        reader = _reader(_MORE.get(setting.name, setting.hint), several=get_origin(kind) is list)
        marks = [Parameter(help=setting.help, converter=reader, negative=())]
    shown = Parameter(show_default=parameter.default not in (None, False))
    return parameter.replace(annotation=_annotated(kind, *marks, shown))


def _option(setting: Setting) -> inspect.Parameter:
    """Its default is that of the call it is handed to, so that a file of settings may go before it."""
    hint, kind = _MORE.get(setting.name, setting.hint), option_type(setting.hint)
    default = ",".join(map(str, setting.default)) if isinstance(setting.default, tuple) else setting.default
    shown = "" if default in (MISSING, None, "") or isinstance(default, bool) else f" [default: {default}]"
    name = next((mark.name for mark in marks_of(hint) if isinstance(mark, OptionName)), setting.name)
    parameter = Parameter(
        name=f"--{name.replace('_', '-')}",
        help=setting.help + shown,
        converter=None if kind is bool else _reader(hint, several=is_list(hint)),
        show_default=False,
        negative=None if kind is bool else (),
    )
    annotation = _annotated(kind, parameter, *(mark for mark in marks_of(hint) if isinstance(mark, Parameter)))
    absent = inspect.Parameter.empty if setting.default is MISSING else None
    return inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=absent, annotation=annotation)


class _Unchecked:
    """To pydantic, which the parser asks where another library has loaded it: settings are checked by their classes."""

    def __get_pydantic_core_schema__(self, *_: Any) -> dict[str, str]:
        return {"type": "any"}


def _annotated(kind: Any, *marks: Any) -> Any:
    return cast("Any", Annotated)[(kind, *marks, _Unchecked())]


def _reader(hint: Any, *, several: bool = False) -> Callable[[Any, Sequence[Any]], Any]:
    """Texts to what the setting takes, or why they do not fit: all mistakes are told together."""

    def read(kind: Any, tokens: Sequence[Any]) -> Any:
        try:
            value = value_from([token.value for token in tokens], hint, several=several)
        except Misfit as misfit:
            return misfit
        return Path(value) if Path in (kind, *get_args(kind)) else value

    return read
