"""LogME's jackknife at low rank, beside a decomposition for each group: how far apart the intervals, what they cost.

    python bench/logme_replicates.py --work FOLDER [--out docs/results/logme_replicates.md]

FOLDER holds the passes of state_conventions.py: every third layer of each, training texts (means of states over their
RMS) in ten groups.  One thread; both ways turn by turn.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from pages import write_page
from tokenworth.scores import PooledMoments, logme
from tokenworth.scores.jackknife import interval
from tokenworth.scores.logme_replicates import LogmeReplicates
from tokenworth.scores.pooled import add_up

COMMAND = "python bench/logme_replicates.py --work out/states"
GROUPS, EVERY = 10, 3


@dataclass(frozen=True)
class Compared:
    """One layer."""

    error_ratio: float
    apart: float
    """Largest difference of a replicate, in standard errors."""
    seconds: tuple[float, float]
    """At low rank, and by decompositions."""
    pays: bool


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/results/logme_replicates.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[tuple[int, int], list[Compared]] = defaultdict(list)
    for place in sorted(options.work.glob("*/facts.json")):
        facts = json.loads(place.read_text(encoding="utf-8"))
        n, layers_LND = facts["n_train"], np.load(place.with_name("rms.npy"), mmap_mode="r")
        labels_N = torch.tensor(facts["labels"][:n])
        for layer_ND in layers_LND[::EVERY]:
            texts_ND = torch.from_numpy(np.array(layer_ND[:n], dtype=np.float64))
            rows[facts["n_classes"], texts_ND.shape[1]].append(compared(texts_ND, labels_N, facts["n_classes"]))
        print(place.parent.name, rows[facts["n_classes"], texts_ND.shape[1]][-1], flush=True)
    write_page(options.out, page_lines(rows))


def compared(texts_ND: Tensor, labels_N: Tensor, n_classes: int) -> Compared:
    """Both ways on one layer, the decomposition of all texts made before."""
    fold_N = torch.from_numpy(np.random.default_rng(0).permutation(len(texts_ND)) % GROUPS)
    parts = [(texts_ND[fold_N == fold], labels_N[fold_N == fold]) for fold in range(GROUPS)]
    groups = [PooledMoments(texts_ND.shape[1], n_classes, shift_D=texts_ND.mean(0)).update(*part) for part in parts]
    total = add_up(groups)
    estimate = torch.tensor(logme(total))
    start = process_time()
    replicates = LogmeReplicates.of(total)
    quick_G = torch.tensor([replicates.without(replicates.along(rows), of_rows) for rows, of_rows in parts])
    middle = process_time()
    exact_G = torch.tensor([logme(total - group) for group in groups])
    seconds = middle - start, process_time() - middle
    error = interval(estimate, exact_G).error
    ratio = interval(estimate, quick_G).error / error
    pays = replicates.pays(max(len(part[1]) for part in parts))
    return Compared(float(ratio), float((quick_G - exact_G).abs().max() / error), seconds, pays)


def page_lines(rows: dict[tuple[int, int], list[Compared]]) -> list[str]:
    """By number of classes and width."""
    lines = [
        "# LogME without a group of texts",
        "",
        f"Made by `{COMMAND}` (its passes: docs/results/states.md),",
        f"torch {torch.__version__}, one thread. Standard error of the jackknife over ten groups: replicates at low",
        "rank over replicates by a decomposition each (by parts); how far a replicate is from its exact value, at",
        "most, in standard errors; seconds of the processor. Where low rank does not pay, decompositions are made.",
        "",
        "| classes | width | layers | error ratio (min to max) | apart | low rank, s | by parts, s | times | pays |",
        "|--:|--:|--:|---|--:|--:|--:|--:|---|",
    ]
    for (n_classes, width), each in sorted(rows.items()):
        ratios = [row.error_ratio for row in each]
        quick, exact = (float(np.median([row.seconds[way] for row in each])) for way in (0, 1))
        lines.append(
            f"| {n_classes} | {width} | {len(each)} | {np.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) "
            f"| {max(row.apart for row in each):.3f} | {quick:.3f} | {exact:.3f} | {exact / quick:.1f} "
            f"| {'yes' if each[0].pays else 'no'} |"
        )
    return lines


if __name__ == "__main__":
    main()
