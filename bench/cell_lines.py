"""Cells of a benchmark as lines of a file: each is run once, and a killed command goes on where it was."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Measure = Callable[[Path, Path, Cell], Cell]
"""Figures of one cell, from the folder of the model, that of the tasks, and what the cell is."""
Grid = Callable[[argparse.Namespace], Iterable[tuple[Path, Cell]]]
"""What a command line asks for: models, each with what its cell is."""


def parser_of(doc: str, tasks: Sequence[str], texts: int) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Of `run CELLS` and `page CELLS`, and of run alone, to which a benchmark adds what else its cells differ in."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run, page = commands.add_parser("run"), commands.add_parser("page")
    for command in (run, page):
        command.add_argument("cells", type=Path)
    run.add_argument("--data", type=Path, required=True)
    run.add_argument("--models", type=Path, nargs="+", required=True)
    run.add_argument("--tasks", nargs="+", default=list(tasks))
    run.add_argument("--seeds", type=int, nargs="+", default=[0])
    run.add_argument("--steps", type=int, default=60)
    run.add_argument("--texts", type=int, default=texts, help="of each part")
    run.add_argument("--max-length", type=int, default=64)
    return parser, run


def read_cells(path: Path) -> list[Cell]:
    """The cells of a file; a last line that was cut short is left out."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def run_cells(options: argparse.Namespace, grid: Iterable[tuple[Path, Cell]], measure: Measure) -> None:
    """Run every cell that is not in the file yet, a line each.

    Args:
        options: of the command: cells (the file) and data.
        grid: models, each with what its cell is.
        measure: called for what is not there.
    """
    known = read_cells(options.cells)
    for model, cell in grid:
        if any(cell.items() <= row.items() for row in known):
            continue
        row = cell | measure(model, options.data, cell)
        with options.cells.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def run_or_show(options: argparse.Namespace, grid: Grid, measure: Measure, page: Callable[[list[Cell]], str]) -> None:
    """What a command line of `parser_of` asks for: run cells of a grid, or print the page of those there are."""
    if options.command == "run":
        run_cells(options, grid(options), measure)
    else:
        print(page(read_cells(options.cells)))
