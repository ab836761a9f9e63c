"""What the source must not outgrow, and that the gate, the hooks and `make test` are one and the same thing."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from textwrap import indent

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("format", "rules", "types")
"""Targets of the Makefile, in the order in which they run."""

AT_MOST = {
    "functions of more than 40 lines": 0,
    "functions with more than 8 parameters": 0,
    "files of more than 300 lines": 0,
    "names that more than 2 files share": 0,
    "# fmt: skip": 20,
}
"""The figures of the source: each may only go down."""


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


figures = _load(ROOT / "tools" / "figures.py")
PLACES = figures.held(figures.modules(ROOT))


def test_every_figure_has_its_bound():
    assert AT_MOST.keys() == PLACES.keys()


@pytest.mark.parametrize("figure", AT_MOST)
def test_figures_only_go_down(figure):
    where = PLACES[figure]
    assert len(where) <= AT_MOST[figure], f"{figure}: {len(where)}, at most {AT_MOST[figure]}\n" + "\n".join(where)


def module_of(text, name="src/tokenworth/room/file.py"):
    return figures.Module(name, text, ast.parse(text))


def counted(*modules):
    return {name: len(where) for name, where in figures.held(list(modules)).items()}


def function(lines=1, parameters=0, docstring="", name="f"):
    names = ", ".join(["self", *(f"a{i}" for i in range(parameters)), "*args", "**kwargs"])
    return f"def {name}({names}):\n" + docstring + "    a = 1\n" * (lines - 1)


@pytest.mark.parametrize(("text", "figure", "n"), [
    (function(lines=40), "functions of more than 40 lines", 0),
    (function(lines=41), "functions of more than 40 lines", 1),
    (function(lines=40, docstring='    """A\n\n    B\n    """\n'), "functions of more than 40 lines", 0),
    ("class A:\n" + indent("async " + function(lines=41), "    "), "functions of more than 40 lines", 1),
    (function(2, parameters=8), "functions with more than 8 parameters", 0),
    (function(2, parameters=9), "functions with more than 8 parameters", 1),
    ("def f(a, /, b, c, d, *, e, g, h, i, j): ...", "functions with more than 8 parameters", 1),
    ("a = 1\n" * 300, "files of more than 300 lines", 0),
    ("a = 1\n" * 301, "files of more than 300 lines", 1),
    (f"a = 1  {figures.SKIP}\nb = 2\n", "# fmt: skip", 1),
])  # fmt: skip
def test_what_is_counted(text, figure, n):
    """A count that saw nothing would let everything pass."""
    assert counted(module_of(text))[figure] == n


def test_public_calls_may_take_every_setting_as_a_keyword():
    text = function(2, parameters=20, name="assess")
    elsewhere = module_of(text, "src/tokenworth/cli/file.py")
    of_the_room = module_of(text, "src/tokenworth/assessment/file.py")
    assert counted(elsewhere)["functions with more than 8 parameters"] == 1
    assert counted(of_the_room)["functions with more than 8 parameters"] == 0


def test_names_of_files_are_shared_by_two_at_most():
    files = [module_of("", f"src/tokenworth/{room}/run.py") for room in "abc"]
    doors = [module_of("", f"src/tokenworth/{room}/__init__.py") for room in "abc"]
    assert counted(*files[:2], *doors)["names that more than 2 files share"] == 0
    assert counted(*files)["names that more than 2 files share"] == 1


# --- one gate


def make(*arguments):
    """What make says and its exit code; nothing of the make that may run these tests is handed down."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout, done.returncode


def recipe(target):
    """What make would run for a tree whose environment is up to date."""
    commands, code = make("--dry-run", "-o", ".venv/.installed", target)
    assert code == 0
    return commands


def hooks():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    return [hook for repository in configuration["repos"] for hook in repository["hooks"]]


def commands(target):
    """The parts of a recipe: `part 'what' command`, run whatever the others said."""
    return re.findall(r"part '[^']+' (.+?);", recipe(target))


def test_the_hooks_are_a_file_that_pre_commit_takes():
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
def test_hooks_run_what_make_test_runs_first():
    assert [hook["entry"] for hook in hooks()] == [f"make {part}" for part in PARTS]
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks())
    checks = [recipe(part).strip() for part in PARTS]
    assert checks == [".venv/bin/ruff format --check .", ".venv/bin/ruff check .", ".venv/bin/mypy"]
    for target in ("lint", "test", "check"):
        assert commands(target)[: len(PARTS)] == checks
    assert len(commands("lint")) == len(PARTS)
    assert all("pytest" in command for command in commands("test")[len(PARTS) :])
    assert len(commands("test")) == len(PARTS) + 2  # two number formats


@needs_make
def test_a_part_that_fails_is_named_and_stops_no_other(tmp_path):
    """The recipe itself, with programs that say what they were asked and of which two fail."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, code in {"ruff": 3, "mypy": 0, "pytest": 1}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\necho "asked: {name} $*"\nexit {code}\n', encoding="utf-8")
        script.chmod(0o755)
    said, code = make("-o", "browser", "-o", f"{tmp_path}/.installed", f"VENV={tmp_path}", "test")
    asked = [line.split()[1:3] for line in said.splitlines() if line.startswith("asked: ")]
    assert asked == [["ruff", "format"], ["ruff", "check"], ["mypy"], ["pytest", "-n"], ["pytest", "-n"]]
    assert code != 0
    assert said.splitlines()[-1] == "failed: ruff format, ruff check, tests in float32, tests in bfloat16"


# --- other interpreters


def test_constraints_leave_an_older_python_what_it_can_have():
    """A package that needs a newer one is held there alone, so that `make` works on 3.10 as well."""
    constraints = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    pythons = {canonicalize_name(package.name): package.metadata.get("Requires-Python") for package in distributions()}
    too_new = [
        str(constraint)
        for constraint in constraints
        if (constraint.marker is None or constraint.marker.evaluate({"python_version": "3.10"}))
        and not SpecifierSet(pythons.get(canonicalize_name(constraint.name)) or "").contains("3.10.99")
    ]
    assert not too_new, 'add ; python_version >= "3.11"'


def bounds():
    """Of every dependency and extra: the package and its lower bound."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for requirements in lists for text in requirements]


def test_every_dependency_has_one_lower_bound():
    specifiers = {requirement.name: set() for requirement in bounds()}
    for requirement in bounds():
        specifiers[requirement.name].add(str(requirement.specifier))
    assert all(len(texts) == 1 and next(iter(texts)).startswith(">=") for texts in specifiers.values()), specifiers


@needs_make
def test_the_oldest_libraries_are_those_of_the_lower_bounds(tmp_path):
    _, code = make(f"LOWEST={tmp_path}/lowest.txt", f"{tmp_path}/lowest.txt")
    assert code == 0
    oldest = (tmp_path / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = {f"{requirement.name}{requirement.specifier}".replace(">=", "==") for requirement in bounds()}
    left_out = pins - set(oldest)
    assert set(oldest) <= pins
    assert {pin.split("==")[0] for pin in left_out} == {"bitsandbytes"}  # of no use without CUDA


@needs_make
def test_an_interpreter_that_is_not_there_is_named():
    said, code = make("pythons", "PYTHONS=3.1 3.2")
    assert code == 0
    assert said.splitlines() == [f"Python {version}: not on this machine, not tried" for version in ("3.1", "3.2")]
