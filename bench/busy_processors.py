"""Training and assessing beside other programs: what it costs that threads wait for each other, by how long they do.

    python bench/busy_processors.py --data TASKS --model FOLDER [--busy 0 1 2] [--steps 8] [--pairs 3]

Whole commands with as many threads as cores, beside so many processes that only compute; real tokens a second in the
loop of `adapt`, and of the forward pass of `assess`; medians of interleaved runs.  Columns: rounds of waiting before a
thread sleeps (GOMP_SPINCOUNT): the first is what the command line leaves on an idle machine, the second what it sets
beside others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tokenworth.base.thread_waiting import POLICY, SHORT_WAIT, SPINS

WAITS = {"300,000 (libgomp's own)": "300000", f"{SHORT_WAIT:,}": str(SHORT_WAIT)}
BUSY = "import torch\ntorch.set_num_threads(1)\na = torch.ones(1000, 1000)\nwhile True: a @ a"


def main() -> None:
    """A row a piece of work and a number of busy processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--task", default="rotten_tomatoes")
    parser.add_argument("--busy", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work", nargs="+", choices=("lora", "full", "assess"), default=["lora", "assess"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, {options.model.name}, {options.task}; tokens/s, medians of {options.pairs}\n")
    print(f"| work | busy processes | {' | '.join(WAITS)} |\n|---|--:|{'--:|' * len(WAITS)}")
    for busy in options.busy:
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
        try:
            for work in options.work:
                found: dict[str, list[float]] = {name: [] for name in WAITS}
                for _ in range(options.pairs):
                    for name, rates in found.items():
                        rates.append(tokens_a_second(work, WAITS[name], options))
                cells = " | ".join(f"{median(rates):,.0f}" for rates in found.values())
                print(f"| {work} | {busy} | {cells} |", flush=True)
        finally:
            for process in others:
                process.kill()


def tokens_a_second(work: str, spins: str, options: argparse.Namespace) -> float:
    """One command in an environment with or without the variable."""
    unset = {SPINS, POLICY, "OMP_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment[SPINS] = spins
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tokenworth", "assess" if work == "assess" else "adapt",
                   str(options.data / options.task), "--model", str(options.model), "--max-length", "128",
                   "--out", folder, "--quiet"]  # fmt: skip
        command += (
            ["--max-texts", "150", "--no-cache"]
            if work == "assess"
            else ["--route", work, "--steps", str(options.steps), "--max-texts", "60", "--no-mislabelled"]
        )
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        if work == "assess":
            result = json.loads((Path(folder) / "assessment.json").read_text(encoding="utf-8"))
            return float(result["forward_pass"]["tokens"] / result["timings"]["encode: forward"])
        cost = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))["cost"]
        return float(cost["tokens"] / cost["loop_seconds"])


if __name__ == "__main__":
    main()
