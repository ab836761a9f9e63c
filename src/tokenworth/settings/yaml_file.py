"""The one reader of YAML files: plain values with the lines they stand on, within bounds of size, depth and number.

Numbers are those of YAML 1.2: 1e-4 is one, 010 is ten, 1:30 is a text; dates are texts.  No tag makes an object.
"""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tokenworth.base.sentences import quoted, refusal
from tokenworth.errors import SettingError, first_line

_MOST_BYTES = 1_000_000
_DEEPEST = 50
_MOST_VALUES = 100_000
"""Values of a file, those that aliases repeat counted each time."""
_LARGEST = 2**63 - 1
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_LEFT_OUT = {_TAG + name for name in ("timestamp", "value", "int", "float")}
_TRUTHS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Section(dict[str, Any]):
    """A mapping of a file that knows on which line each of its keys stands."""

    def __init__(self, *values: Any, lines: dict[str, int] | None = None, **named: Any) -> None:
        super().__init__(*values, **named)
        self.lines = lines or {}

    def but(self, *names: str) -> Section:
        """The same without some of the keys."""
        return Section({name: value for name, value in self.items() if name not in names}, lines=self.lines)


def read_settings(path: str | Path, what: str = "run file", example: str = "steps: 1000") -> Section:
    """The mapping in a YAML file.

    Args:
        path: a regular file of at most 1 MB.
        what: the file, for people.
        example: a line it could hold.

    Raises:
        SettingError: it cannot be read, holds something else, or says a thing twice; every such mistake with its line.
    """
    place = f"the {what} {path}"
    mistakes: list[str] = []
    try:
        node = _Loader(_text(Path(path), place)).get_single_node()
        values = None if node is None else _value(node, mistakes)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = first_line(Exception(getattr(error, "problem", None) or first_line(error)))
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise SettingError(f"{place} cannot be read as YAML ({line}{problem})") from error
    if mistakes:
        raise refusal(place, mistakes)
    if not isinstance(values, Section):
        kind = {type(None): "nothing", list: "a list"}.get(type(values), quoted(values))
        raise SettingError(f"{place} must hold lines such as {example!r}, not {kind}")
    return values


def _text(path: Path, place: str) -> str:
    """What stands in the file; a device or a pipe is not waited for."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SettingError(f"{place} is {'a folder' if stat.S_ISDIR(mode) else 'no plain file'}; name a file")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise SettingError(f"{place} is larger than {_MOST_BYTES // 10**6} MB, which no settings are")
        return data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except SettingError:
        raise
    except UnicodeDecodeError as error:
        raise SettingError(f"{place} cannot be read as YAML (it is not UTF-8: {first_line(error)})") from error
    except (OSError, ValueError) as error:  # no such file, or a path with a zero byte in it
        raise SettingError(f"{place} cannot be read ({first_line(error)})") from error


def exists(path: Path) -> bool:
    """Whether there is such a thing; what cannot be a path is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a zero byte in it
        return False


class _Loader(yaml.SafeLoader):
    """Nodes, no deeper and no more of them than a file of settings has."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared so by the library
        letter: [(tag, pattern) for tag, pattern in resolvers if tag not in _LEFT_OUT]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._values = 0, 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, whose size is remembered: an alias repeats all of it."""
        alias = self.check_event(yaml.AliasEvent)
        mark, before = self.peek_event().start_mark, self._values  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {_DEEPEST} levels, one in the other", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias and id(node) not in self._sizes:
            raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=mark)
        self._values += self._sizes[id(node)] if alias else 1
        if self._values > _MOST_VALUES:
            problem = f"more than {_MOST_VALUES:,} values, aliases written out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        if not alias:
            self._sizes[id(node)] = self._values - before
        return node


_INTEGER = re.compile(r"[-+]?(0o[0-7]+|0x[0-9a-fA-F]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_Loader.add_implicit_resolver(_TAG + "int", re.compile(f"^(?:{_INTEGER.pattern})$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_TAG + "float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+0123456789."))


def _value(node: Any, mistakes: list[str]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _section(node, mistakes)
    if isinstance(node, yaml.SequenceNode):
        _refuse_tag(node, ("seq",), mistakes)
        return [_value(item, mistakes) for item in node.value]
    return _scalar(node, mistakes)


def _section(node: Any, mistakes: list[str]) -> Section:
    _refuse_tag(node, ("map",), mistakes)
    merged, section = Section(), Section()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(f"line {_line(key)}: a key must be a name, not a list or a mapping")
        elif key.tag == _MERGE:
            for other in _merged_sections(value, mistakes):
                merged = Section({**other, **merged}, lines={**other.lines, **merged.lines})
        elif key.value in section:
            before = section.lines[key.value]
            mistakes.append(f"line {_line(key)}: {quoted(key.value)} stands here again, and on line {before}")
        else:
            section[key.value], section.lines[key.value] = _value(value, mistakes), _line(key)
    return Section({**merged, **section}, lines={**merged.lines, **section.lines})


def _merged_sections(node: Any, mistakes: list[str]) -> Iterator[Section]:
    for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if isinstance(part, yaml.MappingNode):
            yield _section(part, mistakes)
        else:
            mistakes.append(f"line {_line(part)}: '<<' takes the lines of another section")


def _scalar(node: Any, mistakes: list[str]) -> Any:
    name, text = node.tag.removeprefix(_TAG), node.value
    try:
        if name in ("int", "float"):
            return _number(text, _INTEGER if name == "int" else _FLOAT)
        if name == "bool":
            return _TRUTHS[text.lower()]
    except SettingError as error:
        mistakes.append(f"line {_line(node)}: {error}")
    except (ValueError, KeyError):
        mistakes.append(f"line {_line(node)}: {quoted(text)} is no value of the type {name}")
    else:
        _refuse_tag(node, ("str", "null"), mistakes)
        return None if name == "null" else text
    return None


def _number(text: str, pattern: re.Pattern[str]) -> int | float:
    if not pattern.fullmatch(text):
        raise ValueError
    plain = text.replace("_", "").lower()
    if pattern is _FLOAT:
        return float(plain.replace(".", "") if plain.lstrip("-+").startswith((".i", ".n")) else plain)
    if len(plain) > len(str(_LARGEST)) + 1:
        raise SettingError(f"a whole number of {len(plain)} digits is larger than any setting")
    number = int(plain, 0) if plain.lstrip("-+")[:2] in ("0o", "0x") else int(plain)
    if abs(number) > _LARGEST:
        raise SettingError(f"the whole number {plain} is larger than any setting")
    return number


def _refuse_tag(node: Any, names: tuple[str, ...], mistakes: list[str]) -> None:
    if node.tag.removeprefix(_TAG) not in names:
        tag = node.tag.replace(_TAG, "!!")
        mistakes.append(f"line {_line(node)}: the tag {quoted(tag)} is not understood here; write the plain value")


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
