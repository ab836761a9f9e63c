"""The site's reference leaves out nothing public, and every public name says what it is."""

import dataclasses
import importlib
import inspect
import re
import runpy
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml

import tokenworth as tw
from tokenworth.cli.app import COMMANDS, GROUPS, app
from tokenworth.errors import TokenworthError
from tokenworth.settings.declarations import declared_settings, field_help

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
commands, names = (importlib.import_module(f"reference_{part}") for part in ("commands", "names"))
FILES = runpy.run_path(str(ROOT / "tools" / "settings_tables.py"))["FILES"]
PUBLIC = {name: value for room in names.ROOMS for name, value in names.public_names(room).items()}


def test_every_name_of_the_front_door_has_a_place():
    listed = {value for value in PUBLIC.values() if inspect.isclass(value) or inspect.isroutine(value)}
    missing = [name for name in tw.__all__ if name not in ("scores", "__version__") and getattr(tw, name) not in listed]
    assert not missing
    assert {f"tokenworth.scores.{name}" for name in tw.scores.__all__} <= PUBLIC.keys()


@pytest.mark.parametrize("room", names.ROOMS)
def test_every_public_name_of_a_room_has_a_block_on_its_page(room):
    page = names.name_pages()[f"{room}.md"]
    blocks = set(re.findall(r'heading: "([^"]+)"', page))
    assert names.public_names(room).keys() <= blocks
    door = importlib.import_module(f"tokenworth.{room}")
    raised = {name for name in getattr(door, "__all__", ()) if names.is_error(getattr(door, name))}
    assert {*getattr(door, "__all__", ())} - raised <= {name.rpartition(".")[2] for name in blocks}


def test_every_error_has_a_place():
    assert {
        name for name, value in vars(importlib.import_module("tokenworth.errors")).items() if names.is_error(value)
    } <= {name.removeprefix("tokenworth.") for name in names.public_names("errors")}
    assert issubclass(PUBLIC["tokenworth.TaskError"], TokenworthError)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_and_what_it_holds_is_documented(name):
    value = PUBLIC[name]
    if not names.is_documented_by_itself(value):
        path = names.constant_path(name.split(".")[1], name.rpartition(".")[2])
        source = inspect.getsource(sys.modules[path.rpartition(".")[0]])
        assert re.search(rf'^{name.rpartition(".")[2]}\b[^\n]* = (?:.|\n)*?^"""', source, flags=re.M), (
            "a sentence below it"
        )
        return
    assert inspect.getdoc(value)
    if not inspect.isclass(value):
        return
    assert not value.__doc__.startswith(f"{value.__name__}("), "a dataclass's signature is no docstring"
    calls = {key: member for key, member in names.public_members(value).items() if member is not None}
    helps = field_help(value)
    annotated = [key for key, member in names.public_members(value).items() if member is None]
    fields = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else annotated
    missing = [key for key in calls if not inspect.getdoc(getattr(value, key))]
    missing += [key for key in fields if not key.startswith("_") and not helps.get(key)]
    assert not missing


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in GROUPS])
def test_every_option_of_a_command_is_on_its_page(name):
    page = commands.command_pages()[f"{name.split()[0]}.md"]
    section = page.partition(f"## tokenworth {name}\n")[2].partition("\n## ")[0] or page
    shown = [each.name for each in reduce(getitem, name.split(), app).assemble_argument_collection() if each.show]
    rows = re.findall(r"^\| `([^`]+)`", section, flags=re.M)
    assert sorted(shown) == sorted(rows)
    assert all(line.count(" | ") == 3 for line in re.sub(r"\\\|", "", section).splitlines() if line.startswith("| `"))


@pytest.mark.parametrize("title", FILES)
def test_every_key_of_a_file_is_on_its_page(title):
    page = commands.file_pages()[f"{commands.short(title).lower().replace(' ', '-')}.md"]
    written = set(re.findall(r"^\| `([^`]+)`", page, flags=re.M))
    keys = {row.name for kind in FILES[title].values() for row in declared_settings(kind)}
    assert written >= keys - {"name", "of_route"} - set(
        importlib.import_module("tokenworth.corpus.engine.stage").FILLED_IN
    )


def test_every_page_of_docs_is_in_the_navigation():
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(re.findall(r"[\w./-]+\.md", str(navigation)))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - listed == {"settings.md"}, "its tables are those of the reference"
