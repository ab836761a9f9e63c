"""Writes docs/settings.md: the settings of every command and of every file, from the classes that declare them.

Run it as `python tools/settings_tables.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.cli.app import COMMANDS, GROUPS, app
from tokenworth.corpus.corpus_settings import Corpus, Mix, Pack, Source
from tokenworth.corpus.engine.stage import FILLED_IN
from tokenworth.corpus.stages import STAGES
from tokenworth.pretraining.pretraining_settings import ModelConfig, PretrainConfig, TrainingConfig
from tokenworth.settings.declarations import Setting, declared_settings
from tokenworth.settings.from_text import option_type
from tokenworth.study.grid import Study
from tokenworth.tokenizers.source_settings import SourceConfig
from tokenworth.tokenizers.tokenizer import TokenizerConfig

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """\
# Settings

Each setting is declared once, in a class of the room that uses it; from there come the option of the command, the
keyword of the Python function, the key in a YAML file, the check of what is given, and this page, which
`python tools/settings_tables.py` writes. An option is the name with `--` before and `-` between. Options that one
command alone has, and what it takes by place, stand in its `--help`. The sections of the files follow the commands.
"""
FILES: dict[str, dict[str, Any]] = {
    "Route settings (`adapt --config`, and `settings` of a study)": {"": AdaptConfig},
    "Study file (`study`)": {"": Study},
    "Corpus file (`corpus build`)": {
        "": Corpus,
        "sources: NAME": Source,
        "mix": Mix,
        "pack": Pack,
        **{f"stages: {name}": stage for name, stage in STAGES.items()},
    },
    "Pretraining file (`pretrain`, `mixture`)": {
        "": PretrainConfig,
        "sources: NAME, held_out: NAME": SourceConfig,
        "tokenizer": TokenizerConfig,
        "model": ModelConfig,
        "training": TrainingConfig,
    },
    "Tokenizer file (`tokenizer`); `sources` as in a pretraining file": {"": TokenizerConfig},
}
"""By file its sections, each with the class that declares them."""
_NOT_IN_FILES = {"of_route", *FILLED_IN}
COLUMNS = "| setting | takes | default | |\n|---|---|---|---|"


def settings_page() -> str:
    """The whole page."""
    commands = (line for name in COMMANDS if name not in GROUPS for line in _section(name))
    files = (line for name, sections in FILES.items() for line in (f"## {name}\n", *file_lines(sections)))
    return "\n".join([_HEAD, *commands, *files])


def _section(name: str) -> Iterator[str]:
    rows = list(_rows(reduce(getitem, name.split(), app)))
    if rows:
        yield f"## tokenworth {name}\n\n{COMMANDS[name].splitlines()[0]}\n\n{COLUMNS}"
        yield from rows
        yield ""


def _rows(command: Any) -> Iterator[str]:
    seen = set()
    for bundle in getattr(command.default_command, "bundles", ()):
        for setting in bundle.settings:
            if setting.name not in seen:
                seen.add(setting.name)
                row = bundle.described[setting.name]
                yield table_row(row, shows_default=setting.default is not None)


def file_lines(sections: dict[str, Any], level: str = "###") -> Iterator[str]:
    """Tables of a file, one a section, under headings of that level."""
    below = {section.partition(":")[0] for names in sections for section in names.split(", ")}
    for section, kind in sections.items():
        of_name = {"name"} if section.endswith("NAME") else set()
        rows = [row for row in declared_settings(kind) if row.name not in _NOT_IN_FILES | of_name]
        title = f"{level} `{section}`\n\n" if section else ""
        yield f"{title}{_first_sentence(kind)}\n" + (f"\n{COLUMNS}" if rows else "")
        for row in rows:
            yield table_row(row, kind="section" if row.name in below else row.kind)
        yield from [""] if rows else []


def _first_sentence(kind: Any) -> str:
    return " ".join(inspect.getdoc(kind).split("\n\n")[0].split())


def table_row(row: Setting, *, name: str = "", kind: str | None = None, shows_default: bool = True) -> str:
    """A setting as a row: its name or another spelling, what it takes, its default and its sentence."""
    kind = row.kind or getattr(option_type(row.hint), "__name__", "").replace("str", "text") if kind is None else kind
    takes = ", ".join(part for part in (kind, row.bounds, row.unit) if part)
    default = row.default_text if shows_default and row.default_text not in ("null", '""', "[]") else ""
    cells = [cell.replace("|", "\\|") for cell in (name or f"`{row.name}`", takes, default.strip('"'), row.help)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
