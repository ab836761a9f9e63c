"""Pages of the site about commands and the files they read, from what the package declares."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from settings_tables import COLUMNS, FILES, file_lines, table_row

from tokenworth.cli.app import COMMANDS, GROUPS, app
from tokenworth.settings.declarations import Setting

HEADINGS = {
    "AssessOptions": "What is computed",
    "AdaptConfig": "The route",
    "TaskSource": "How the task is read",
    **dict.fromkeys(("ModelChoice", "ModelSource", "WeightChoice", "DecoderChoice"), "Model and device"),
    "PassLimits": "The forward pass",
    "CheckpointChoice": "Checkpoints",
    "TrainingConfig": "Training",
    **dict.fromkeys(("StudyEngine", "EngineChoice"), "Where it runs"),
    "Output": "Output",
}
"""Of options that several commands share, by the class that declares them."""
OWN = "Options"
"""The heading of all others."""
PLACES = "Arguments"
_WORDS = list(dict.fromkeys(name.split()[0] for name in COMMANDS))


def command_pages() -> dict[str, str]:
    """By file name: an index, and a page for every first word of a command."""
    return {"index.md": _command_index(), **{f"{word}.md": _command_page(word) for word in _WORDS}}


def command_entries(folder: str) -> list[Any]:
    """Their entries in MkDocs' `nav`."""
    return [f"{folder}/index.md", *({word: f"{folder}/{word}.md"} for word in _WORDS)]


def file_pages() -> dict[str, str]:
    """By file name: an index, and a page for every kind of YAML file."""
    rows = [f"| [{short(title)}]({_file_name(title)}) | {_read_by(title)} |" for title in FILES]
    intro = (
        "# Files\n\nEvery key of the YAML files that commands read. Unknown keys and values that do not fit are "
        "refused all at once, with their lines and the nearest key there is.\n\n| file | read by |\n|---|---|"
    )
    found = {"index.md": "\n".join([intro, *rows, ""])}
    for title, sections in FILES.items():
        head = f"# {short(title)}\n\nRead by {_read_by(title)}.\n"
        found[_file_name(title)] = "\n".join([head, *file_lines(sections, "##")])
    return found


def file_entries(folder: str) -> list[Any]:
    """Their entries in MkDocs' `nav`."""
    return [f"{folder}/index.md", *({short(title): f"{folder}/{_file_name(title)}"} for title in FILES)]


def short(title: str) -> str:
    """A file's kind without what reads it."""
    return title.partition(" (")[0]


def _file_name(title: str) -> str:
    return short(title).lower().replace(" ", "-") + ".md"


def _read_by(title: str) -> str:
    return title.partition(" (")[2].replace(")", "")


def _command_index() -> str:
    rows = [f"| [`tokenworth {word}`]({word}.md) | {COMMANDS[word].splitlines()[0]} |" for word in _WORDS]
    intro = "# Commands\n\nEvery command with its options, as `tokenworth COMMAND --help` has them.\n"
    codes = "Exit codes: 0 done, 1 failed, 2 misused, 130 or 143 stopped by Ctrl-C or SIGTERM."
    return "\n".join([intro, "| command | |\n|---|---|", *rows, "", codes])


def _command_page(word: str) -> str:
    names = [name for name in COMMANDS if name.split()[0] == word and name not in GROUPS]
    head = f"# tokenworth {word}\n\n{COMMANDS[word]}\n"
    return "\n".join([head, *(line for name in names for line in _command(name, alone=name == word))])


def _command(name: str, *, alone: bool) -> Iterator[str]:
    """Its usage and its options, under the headings of a page that it has alone or shares."""
    arguments = [each for each in reduce(getitem, name.split(), app).assemble_argument_collection() if each.show]
    described = _described(name)
    tables: dict[str, list[str]] = {}
    for each in sorted(arguments, key=_is_option):
        setting, heading = described.get(each.field_info.name, (None, OWN))
        tables.setdefault(heading if _is_option(each) else PLACES, []).append(_row(each, setting))
    if not alone:
        yield f"## tokenworth {name}\n\n{COMMANDS[name]}\n"
    yield f"```text\n{_usage(name, arguments)}\n```\n"
    for heading, rows in tables.items():
        columns = COLUMNS.replace("setting", "argument" if heading == PLACES else "option")
        yield "\n".join([f"{'##' if alone else '###'} {heading}\n", columns, *rows, ""])


def _usage(name: str, arguments: list[Any]) -> str:
    places = [each.name if each.required else f"[{each.name}]" for each in arguments if not _is_option(each)]
    needed = [f"{each.name} {each.name.strip('-').upper()}" for each in arguments if _is_option(each) and each.required]
    return " ".join(["tokenworth", name, *places, *needed, *(["[OPTIONS]"] if arguments else [])])


def _is_option(argument: Any) -> bool:
    return bool(argument.name.startswith("-"))


def _described(name: str) -> Mapping[str, tuple[Setting, str]]:
    """By name the settings among a command's parameters, each with its heading."""
    bundles = getattr(reduce(getitem, name.split(), app).default_command, "bundles", ())
    return {
        key: (setting, _heading(bundle.kind, key))
        for bundle in reversed(bundles)
        for key, setting in bundle.described.items()
    }


def _heading(kind: type[Any], name: str) -> str:
    owner = next(base for base in kind.__mro__ if name in vars(base).get("__annotations__", {}))
    return HEADINGS.get(owner.__name__, OWN)


def _row(argument: Any, setting: Setting | None) -> str:
    """One argument or option: spelling, type, default and sentence as its --help has them."""
    is_flag = argument.hint in (bool, bool | None)
    is_on = is_flag and setting is not None and setting.default is True
    names = [name for name in argument.names if is_on or argument.name == name or not name.startswith("--no-")]
    spelled = ", ".join(f"`{name}`" for name in names)
    sentence, _, said = (argument.parameter.help or "").rstrip("]").partition(" [default: ")
    if setting is not None and setting.help == sentence:
        return table_row(setting, name=spelled, kind="flag" if is_flag else None, shows_default=is_on or not is_flag)
    default = argument.field_info.default
    shown = said if default in (None, inspect.Parameter.empty, False) else str(default)
    takes = "flag" if is_flag else "one or more" if argument.token_count()[1] else ""
    return f"| {spelled} | {takes} | {shown} | {sentence} |"
