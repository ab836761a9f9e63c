"""What the engines of a study cost: cells of nearly nothing a minute, and a study by 1 and 2 workers.

    python bench/engines.py [--cells 40] [--runs 3] [--models FOLDER --data FOLDER]

A cell here is a bag of words of forty short texts.  Medians of interleaved runs, start of the engine included.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tokenworth.study import Study, load_study, read_table, run_local, run_on_ray


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        if options.cells:
            _empty(Path(folder), options.cells, options.runs)
        if options.models and options.data:
            _real(Path(folder), options)


def _engines() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {
        "local, 1 worker": lambda study, out: run_local(study, out, workers=1),
        "local, 2 workers": lambda study, out: run_local(study, out, workers=2),
    }
    if importlib.util.find_spec("ray"):
        found["ray, 2 processors"] = lambda study, out: run_on_ray(study, out, workers=2)
    return found


def _empty(folder: Path, cells: int, runs: int) -> None:
    rows = [f"{word} text number {i},{word}" for i in range(20) for word in ("good", "bad")]
    (folder / "tiny.csv").write_text("text,label\n" + "\n".join(rows))
    study = Study(
        name="empty", routes=("bow",), tasks=(str(folder / "tiny.csv"),), seeds=tuple(range(cells)),
        settings={"mislabelled": False},
    )  # fmt: skip
    times = _interleaved(study, folder, runs)
    print(f"{cells} cells of nearly nothing, median of {runs}\n\n| engine | seconds | cells a minute |\n|---|--:|--:|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds:.1f} | {60 * cells / seconds:.0f} |")


def _interleaved(study: Study, folder: Path, runs: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in _engines()}
    for turn in range(runs):
        for name, run in _engines().items():
            begun = time.perf_counter()
            counts = run(study, folder / f"{turn}-{name}")
            times[name].append(time.perf_counter() - begun)
            assert set(counts) == {"finished"}, counts
    return {name: median(own) for name, own in times.items()}


def _real(folder: Path, options: argparse.Namespace) -> None:
    study = load_study("tokenizer-cpu", models=options.models, data=options.data).only(["sst2", "emotion", "clickbait"])
    print("\ntokenizer-cpu, three tasks\n\n| engine | seconds | sum of its cells | share |\n|---|--:|--:|--:|")
    for name, run in _engines().items():
        begun = time.perf_counter()
        run(study, folder / name)
        seconds, own = time.perf_counter() - begun, float(read_table(folder / name)["seconds"].sum())
        print(f"| {name} | {seconds:.0f} | {own:.0f} | {seconds / own:.2f} |")


if __name__ == "__main__":
    main()
