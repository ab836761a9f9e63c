"""Time and memory of the main job on real models: what each stage of `tokenworth assess` takes.

    python bench/assess_cost.py --models FOLDER [FOLDER ...] --data TASKS [--task rotten_tomatoes] [--texts 500]

A process a model, every layer, nothing from the cache; seconds of the clock by stage (encode holds the forward pass,
its moments and its checkpoints), the whole as a multiple of the forward pass, seconds of processors, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

STAGES = ("load", "tokenise", "encode", "encode: forward", "scores", "probes", "total")


def main() -> None:
    """A row a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="rotten_tomatoes")
    parser.add_argument("--texts", type=int, default=500, help="of each part")
    parser.add_argument("--max-length", type=int, default=128)
    options = parser.parse_args()
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    print(
        f"{options.task}, {options.texts} texts of each part, at most {options.max_length} tokens; threads: {threads}"
    )
    print(f"| model | format | tokens | {' | '.join(STAGES)} | total / forward | processors | peak memory |")
    print(f"|---|---|{'--:|' * 11}")
    for model in options.models:
        print(row(model, options), flush=True)


def row(model: str, options: argparse.Namespace) -> str:
    """Of one model."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tokenworth", "assess", str(options.data / options.task), "--model", model,
                   "--max-texts", str(options.texts), "--max-length", str(options.max_length), "--no-cache",
                   "--out", folder, "--quiet"]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        result = json.loads((Path(folder) / "assessment.json").read_text(encoding="utf-8"))
    seconds = " | ".join(f"{result['timings'][stage]:.1f} s" for stage in STAGES)
    times = result["timings"]["total"] / result["timings"]["encode: forward"]
    facts = (Path(model).name, result["backbone"]["dtype"], f"{result['forward_pass']['tokens']:,}")
    used = f"{times:.2f} | {usage.ru_utime + usage.ru_stime:.1f} s | {usage.ru_maxrss / 2**20:.2f} GB"
    return f"| {' | '.join(facts)} | {seconds} | {used} |"


if __name__ == "__main__":
    main()
