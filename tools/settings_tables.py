"""Writes docs/settings.md: the settings of every command, from the classes that declare them.

Run it as `python tools/settings_tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from tokenworth.cli.app import COMMANDS, GROUPS, app
from tokenworth.settings.declarations import Setting
from tokenworth.settings.from_text import option_type

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """\
# Settings

Each setting is declared once, in a class of the room that uses it; from there come the option of the command, the
keyword of the Python function, the key in a YAML file, the check of what is given, and this page, which
`python tools/settings_tables.py` writes. An option is the name with `--` before and `-` between. Options that one
command alone has, and what it takes by place, stand in its `--help`.
"""
_COLUMNS = "| setting | takes | default | |\n|---|---|---|---|"


def settings_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for name in COMMANDS if name not in GROUPS for line in _section(name))])


def _section(name: str) -> Iterator[str]:
    rows = list(_rows(reduce(getitem, name.split(), app)))
    if rows:
        yield f"## tokenworth {name}\n\n{COMMANDS[name].splitlines()[0]}\n\n{_COLUMNS}"
        yield from rows
        yield ""


def _rows(command: Any) -> Iterator[str]:
    seen = set()
    for bundle in command.default_command.bundles:
        for setting in bundle.settings:
            if setting.name not in seen:
                seen.add(setting.name)
                yield _row(bundle.described[setting.name], shows_default=setting.default is not None, hint=setting.hint)


def _row(row: Setting, *, shows_default: bool, hint: Any) -> str:
    kind = row.kind or getattr(option_type(hint), "__name__", "").replace("str", "text")
    takes = ", ".join(part for part in (kind, row.bounds, row.unit) if part)
    default = row.default_text if shows_default and row.default_text not in ("null", '""', "[]") else ""
    cells = [cell.replace("|", "\\|") for cell in (f"`{row.name}`", takes, default.strip('"'), row.help)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
