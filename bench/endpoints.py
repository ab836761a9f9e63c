"""Does a model on a server say what the same model says when it is loaded here, and what would it cost?

    python bench/endpoints.py --data FOLDER --model FOLDER [--serving PYTHON] [--texts 100] [--out out/endpoints]

The same weights are asked in three places, about the same test texts and with the same words: loaded here (`adapt`,
route prompt), by `transformers serve` (free text alone: it passes over log-probabilities and schemata), and by
bench/log_probability_server.py (likelihoods, letters).  Both servers run on the loopback beside it.  Every run is kept
in --out and every answer in its cache, so the command goes on where it was.  --serving is a Python that has
transformers[serving].  The table goes to docs/results/endpoints.md.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from pages import write_page
from prompting import EXAMPLES, TASKS, TRAIN, small_task
from tokenworth.adaptation import ROUTES, AdaptResult, adapt
from tokenworth.tasks import Task

PAGE = Path(__file__).parents[1] / "docs" / "results" / "endpoints.md"
PRICES = {"price_in": 0.1, "price_out": 0.4}
"""Money a million tokens: made up, of the size that hosted small models have."""
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "loaded here, plain": ("", {"chat": False}),
    "scores, plain": ("log-probabilities", {"chat": False, "answers": "scores"}),
    "text, plain": ("transformers serve", {"chat": False, "answers": "text"}),
    "loaded here, chat": ("", {}),
    "letters, chat": ("log-probabilities", {"answers": "letters"}),
    "text, chat": ("transformers serve", {"answers": "text"}),
}
"""By name: which server, and settings of the route."""
HEADS = ("task", "asked", "weighted F1", "unclear", "agrees", "log-loss", "tokens", "a million")
_STARTING = 180


def main() -> None:
    """Ask what has not been asked yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--serving", type=Path, default=Path(sys.executable))
    parser.add_argument("--out", type=Path, default=Path("out/endpoints"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    # Nothing learns, and a server is not asked about training texts at all.
    ROUTES["prompt"] = replace(ROUTES["prompt"], train_texts=20)
    tasks = {name: small_task(options.data / name, options.texts) for name in TASKS}
    results: dict[tuple[str, str, str], AdaptResult] = {}
    with servers(options) as urls:
        for examples, shown in EXAMPLES.items():
            for name, task in tasks.items():
                for way in WAYS:
                    results[name, examples, way] = run(options, urls, task, way, examples, shown)
                    write_page(options.page, list(page_lines(tasks, results, options)))


def run(
    options: argparse.Namespace, urls: dict[str, str], task: Task, way: str, examples: str, shown: dict[str, Any]
) -> AdaptResult:
    """One run, or what is kept of it."""
    place, settings = WAYS[way]
    config = {"mislabelled": False, "dtype": options.dtype, **settings, **shown}
    model = str(options.model)
    if place:
        config |= {"url": urls[place], "timeout": 300.0, "concurrency": 2, **PRICES}
        model = f"endpoint:{model}"
    folder = options.out / f"{task.name}-{examples}-{way}".replace(" ", "-").replace(",", "")
    result = adapt(model, task, "prompt", config=config, out=folder, cache=str(options.out / "cache"))
    print(f"{folder.name}: F1 {result.metrics['weighted_f1']:.3f}, {result.cost['seconds']:.0f} s", flush=True)
    return result


@contextmanager
def servers(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """Both, on the loopback, ended afterwards; their addresses by name."""
    ports = {"transformers serve": 8767, "log-probabilities": 8768}
    code = "from transformers.cli.transformers import main; main()"
    serve = [str(options.serving), "-c", code, "serve", str(options.model), "--host", "127.0.0.1", "--device", "cpu"]
    serve += ["--dtype", options.dtype, "--port", str(ports["transformers serve"])]
    ours = [sys.executable, str(Path(__file__).with_name("log_probability_server.py")), str(options.model)]
    ours += ["--dtype", options.dtype, "--port", str(ports["log-probabilities"])]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, **quiet) for command in (serve, ours)]  # type: ignore[call-overload]
    try:
        for port in ports.values():
            wait_for(port)
        yield {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items()}
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def wait_for(port: int) -> None:
    """Until somebody listens."""
    end = time.monotonic() + _STARTING
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end:
            raise SystemExit(f"no server came up on port {port} within {_STARTING} s")
        time.sleep(0.5)


def page_lines(
    tasks: dict[str, Task], results: dict[tuple[str, str, str], AdaptResult], options: argparse.Namespace
) -> Iterator[str]:
    """The page."""
    sizes = ", ".join(f"{name} {len(task.test)}" for name, task in tasks.items())
    paid = f"{PRICES['price_in']:g} a million tokens read and {PRICES['price_out']:g} written"
    yield "# The same model, loaded and on a server"
    yield ""
    yield f"{options.model.name}, {options.dtype}, torch {torch.__version__}, transformers {transformers.__version__}."
    yield f"Examples out of {TRAIN:,} training texts; test texts: {sizes}."
    yield "Weighted F1 with its 95 % interval over texts; unclear: texts whose answer names no class, which count as"
    yield "wrong; agrees: share of the test texts that get the class which the model loaded here gives in the same form"
    yield "(plain or chat); tokens: read and written a text, as the server counts them;"
    yield f"a million: price of a million texts at {paid}, made-up prices."
    yield ""
    yield "    python bench/endpoints.py --data ../shared/data/tasks --model FOLDER --serving PYTHON"
    yield ""
    for examples in dict.fromkeys(examples for _, examples, _ in results):
        yield f"## Examples: {examples}"
        yield ""
        yield f"| {' | '.join(HEADS)} |"
        yield "|---|---|--:|--:|--:|--:|--:|--:|"
        for name in tasks:
            for way in (way for way in WAYS if (name, examples, way) in results):
                here = results[name, examples, "loaded here, chat" if way.endswith("chat") else "loaded here, plain"]
                yield row(name, way, results[name, examples, way], here)
        yield ""


def row(name: str, way: str, result: AdaptResult, here: AdaptResult) -> str:
    """One run."""
    metrics, cost, asked = result.metrics, result.cost, result.facts.get("endpoint")
    f1 = f"{metrics['weighted_f1']:.3f} ({metrics['weighted_f1_low']:.2f} to {metrics['weighted_f1_high']:.2f})"
    agrees = float((result.predictions["predicted"] == here.predictions["predicted"]).mean())
    if asked is None:
        return f"| {name} | {way} | {f1} | | | {metrics['log_loss']:.3f} | | |"
    tokens = f"{cost['tokens_in'] / asked['texts']:.0f} + {cost['tokens_out'] / asked['texts']:.1f}"
    cells = (name, way, f1, asked["unparsable"], f"{agrees:.2f}", f"{metrics['log_loss']:.3f}", tokens)
    return f"| {' | '.join(map(str, cells))} | {cost['million_money']:.2f} |"


if __name__ == "__main__":
    main()
