"""Peak memory of the forward pass as texts grow: only token ids and digests may grow with their number.

    python bench/memory_growth.py --model ../shared/models/stories260k [--texts 1000 10000 100000]

Texts of 5 to 25 random words; each size in a process of its own.  Anonymous memory is what the process holds itself,
file-backed what the operating system keeps of mapped files (features on disk) and may drop at will.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Print one row a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--one", action="store_true", help="run one size in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.model, options.texts[0])))
        return
    print("| texts | tokens | peak MB | anonymous at the end MB | file-backed MB | features MB | seconds |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for count in options.texts:
        command = [sys.executable, __file__, "--one", "--model", options.model, "--texts", str(count)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
        sizes = (f"{found[name] / 1e6:.0f}" for name in ("peak", "anonymous", "file", "features"))
        print(f"| {count:,} | {found['tokens']:,} | {' | '.join(sizes)} | {found['seconds']:.0f} |", flush=True)


def measure(model: str, count: int) -> dict[str, float]:
    """One pass; memory of this process afterwards."""
    import torch

    from tokenworth.backbones import load_backbone
    from tokenworth.encode import tokenise
    from tokenworth.features import PassSettings, gather_features, temporary_store

    torch.set_num_threads(1)
    backbone = load_backbone(model, device="cpu", dtype="float32")
    tokens = tokenise(backbone, texts(count))
    settings = PassSettings(layers=tuple(range(backbone.n_layers + 1)))
    with temporary_store() as store:
        features = gather_features(backbone, {"train": tokens}, settings, store)
        files = sum(path.stat().st_size for path in store.root.rglob("*.npy"))
        facts = features.facts
        return {
            "tokens": facts["tokens"],
            "seconds": facts["seconds"],
            "features": files,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "anonymous": status("RssAnon"),
            "file": status("RssFile"),
        }


def texts(count: int) -> list[str]:
    """Short texts of random words."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("ba", "de", "ki", "lo", "mu") for b in ("n", "ra", "sto", "vel", "w")]
    return [" ".join(rng.choice(words, size=size)) for size in rng.integers(5, 26, size=count)]


def status(name: str) -> int:
    """Bytes of a line of /proc/self/status; 0 where there is none."""
    listing = Path("/proc/self/status")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


if __name__ == "__main__":
    main()
