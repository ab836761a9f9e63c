"""The worked examples of docs/extending run as they stand, and print what the pages say."""

import ast
import re
from pathlib import Path

import pytest

from commands import script
from tokenworth.adaptation import ROUTES

PAGES = Path(__file__).parents[1] / "docs" / "extending"
NAMES = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "index")


def blocks(name):
    """The program of a page and what it prints."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    found = {kind: re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "text")}
    assert [len(blocks) for blocks in found.values()] == [1, 1]
    return found["python"][0], found["text"][0]


def test_every_page_is_in_the_index():
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\((\S+)\.md\):", index)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_worked_example_prints_what_its_page_says(name, tmp_path):
    program, printed = blocks(name)
    assert len(program.splitlines()) < 60
    place = tmp_path / f"{name}.py"
    place.write_text(program, encoding="utf-8")
    done = script(place, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out == printed


def test_what_routes_are_called_is_said_in_one_place():
    """Beside it two tables have every route: what runs it, and the settings that matter to it."""
    source, found = Path(__file__).parents[1] / "src", set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            keys = node.keys if isinstance(node, ast.Dict) else []
            if {key.value for key in keys if isinstance(key, ast.Constant)} >= ROUTES.keys():
                found.add(path.name)
    assert found == {"route_names.py", "adapt_route.py", "route_settings.py"}
