"""Print the figures of the source that tests/test_gate.py holds, and a few that only a reader judges.

    python tools/figures.py            the table
    python tools/figures.py --list     and below it where each figure comes from
    python tools/figures.py DIRECTORY  of another checkout, to compare

All are counted over src/ unless they say otherwise; nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FUNCTION, MOST_PARAMETERS, LONGEST_FILE, MOST_OF_A_NAME = 40, 8, 300, 2
SKIP = "# fmt: " + "skip"
VAGUE = ("found", "one", "own", "told", "made", "given")
"""Local names that do not say what they hold."""
SUGAR = frozenset({
    "adaptation.adapt", "assessment.assess", "assessment.rank", "backbones.load_backbone", "decision.decide",
    "pretraining.pretrain", "tasks.load_task", "tracing.trace",
})  # fmt: skip
"""Public calls, by room, that take every setting as a keyword."""
LIBRARY_NAMES = frozenset({"modeling.py"})
"""Files named as the library they are read with names them."""

Places = dict[str, list[str]]
"""Where something was counted, by what is counted; each list is as long as the figure."""


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the source."""

    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """First folder of the package, or the file where there is none: src/tokenworth/ROOM/..."""
        return Path(self.name).with_suffix("").parts[2]

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """All of them, methods and inner ones, too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def modules(root: Path = ROOT) -> list[Module]:
    """Every file of the package."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((root / "src").rglob("*.py"))}
    return [Module(str(path.relative_to(root)), text, ast.parse(text)) for path, text in texts.items()]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last, those of the docstring left out."""
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Named ones; self, cls and what collects the rest are left out."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def held(source: list[Module]) -> Places:
    """What has a bound in tests/test_gate.py."""
    functions = [(module, function) for module in source for function in module.functions()]
    return {
        f"functions of more than {LONGEST_FUNCTION} lines": [
            f"{module.name}:{function.lineno} {function.name} ({length(function)} lines)"
            for module, function in functions
            if length(function) > LONGEST_FUNCTION
        ],
        f"functions with more than {MOST_PARAMETERS} parameters": [
            f"{module.name}:{function.lineno} {function.name} ({parameters(function)} parameters)"
            for module, function in functions
            if parameters(function) > MOST_PARAMETERS and f"{module.room}.{function.name}" not in SUGAR
        ],
        f"files of more than {LONGEST_FILE} lines": [
            module.name for module in source if len(module.text.splitlines()) > LONGEST_FILE
        ],
        f"names that more than {MOST_OF_A_NAME} files share": _shared_names(source),
        SKIP: [place for module in source for place in _lines_with(module.name, module.text, SKIP)],
    }


def _shared_names(source: list[Module]) -> list[str]:
    files = Counter(Path(module.name).name for module in source)
    return [f"{name} ({n} files)" for name, n in files.items() if n > MOST_OF_A_NAME and name != "__init__.py"]


def _lines_with(name: str, text: str, wanted: str) -> list[str]:
    return [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if wanted in line]


def watched(source: list[Module], root: Path = ROOT) -> Places:
    """What a reader judges."""
    participles = [module.name for module in source if module.name.endswith("ing.py")]
    vague = {name: [place for module in source for place in _assigned(module, name)] for name in VAGUE}
    elsewhere = sorted(path for folder in ("tests", "bench", "tools") for path in (root / folder).rglob("*.py"))
    return {
        "lines with dict[str, Any]": [
            place for module in source for place in _lines_with(module.name, module.text, "dict[str, Any]")
        ],
        **{f"local names {name}": places for name, places in vague.items()},
        "files whose name ends in -ing": [name for name in participles if Path(name).name not in LIBRARY_NAMES],
        f"{SKIP} in tests, bench and tools": [
            place
            for path in elsewhere
            for place in _lines_with(str(path.relative_to(root)), path.read_text(encoding="utf-8"), SKIP)
        ],
    }


def _assigned(module: Module, name: str) -> list[str]:
    nodes = [node for node in ast.walk(module.tree) if isinstance(node, ast.Name) and node.id == name]
    return [f"{module.name}:{node.lineno}" for node in nodes if isinstance(node.ctx, ast.Store)]


def sizes(source: list[Module]) -> dict[str, int]:
    """How much there is."""
    lines = {module.name: len(module.text.splitlines()) for module in source}
    return {
        "lines": sum(lines.values()),
        "files": len(lines),
        "functions": sum(1 for module in source for _ in module.functions()),
        "lines of cli/": sum(n for module, n in zip(source, lines.values(), strict=True) if module.room == "cli"),
    }


def main() -> None:
    """The table of one checkout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--list", action="store_true", help="where each figure comes from")
    options = parser.parse_args()
    source = modules(options.root.resolve())
    places = held(source) | watched(source, options.root.resolve())
    table = sizes(source) | {name: len(where) for name, where in places.items()}
    for name, figure in table.items():
        print(f"{name:45} {figure:7,}")
    if options.list:
        for name, where in places.items():
            print(f"\n{name}", *where, sep="\n  ")


if __name__ == "__main__":
    main()
