"""The documentation is true: its Python runs, its commands and files exist, its page picture is there."""

import io
import re
import runpy
from functools import reduce
from operator import getitem
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from small_models import write_folder
from tokenworth.cli.app import COMMANDS, GROUPS, app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.formats
def test_python_of_the_pages_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "my-model", "llama")
    rows = [{"text": f"{word} number {i}", "label": word} for i in range(20) for word in ("good", "bad")]
    pd.DataFrame(rows).to_csv("reviews.csv", index=False)
    examples = blocks(ROOT / "README.md", "python")
    assert len(examples) == 1
    names = {}
    names_of_pages = (
        "scores.md",
        "routes.md",
        "decision.md",
        "how-to/own-texts.md",
        "how-to/train-and-predict.md",
        "how-to/why-and-what-next.md",
    )
    pages = [ROOT / "docs" / name for name in names_of_pages]
    for example in [*examples, *(block for page in pages for block in blocks(page, "python"))]:
        exec(compile(example, "README.md", "exec"), names)
    assert "The best probe" in capsys.readouterr().out
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page):
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^\s*(?:\.venv/bin/)?tokenworth +([a-z]+ .*)$", text, flags=re.M):
        words = line.split()
        command = words[: 1 + (words[0] in GROUPS and len(words) > 1)]
        assert " ".join(command) in COMMANDS, f"{page.name}: tokenworth {command}"
        shown = io.StringIO()
        app.help_print(command, console=Console(file=shown, width=300))
        for option in re.findall(r"--[a-z-]+", line.split("#")[0]):
            assert option in shown.getvalue(), f"{page.name}: tokenworth {command} has no {option}"


def test_the_tables_of_settings_are_what_the_classes_say():
    found = runpy.run_path(str(ROOT / "tools" / "settings_tables.py"))
    page = found["settings_page"]()
    assert found["PAGE"].read_text(encoding="utf-8") == page, "run python tools/settings_tables.py"
    of_files = page[page.index("## Route settings") :]
    rows = [row.split(" | ") for row in of_files.splitlines() if row.startswith("| `")]
    assert len(rows) > 100
    assert [name for name, takes, *_, sentence in rows if not takes or sentence.strip(" |") == ""] == []


def test_every_option_says_what_it_is_for():
    """One sentence each, in the class or beside the parameter."""
    for name in (name for name in COMMANDS if name not in GROUPS):
        arguments = reduce(getitem, name.split(), app).assemble_argument_collection()
        assert not [argument.name for argument in arguments if not argument.parameter.help], name


def test_make_targets_named_in_the_documentation_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^|`)\s*make ([a-z]+)", page.read_text(), flags=re.M)
    }
    assert named
    assert named <= targets
