"""Semantic duplicates that people wrote: do mean states tell a question reworded from one that means something else?

    python bench/corpus_rewordings.py PAIRS.parquet [PAIRS.parquet ...] --model FOLDER [--model FOLDER]

Files have the columns text_a, text_b and label (1: the same meaning), as the task medical_question_pairs.  Printed are,
by model and layer, the shares of both kinds of pairs with at least a cosine, and the area under the ROC curve.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from tokenworth.backbones import load_backbone
from tokenworth.corpus.deduplication.semantic_duplicates import Vectors
from tokenworth.corpus.engine.shard_store import write_arrays
from tokenworth.corpus.model_features import mean_states

COSINES = (0.8, 0.95)


def main() -> None:
    """Print a row a model and layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--model", action="append", required=True)
    given = parser.parse_args()
    pairs = pd.concat([pd.read_parquet(path) for path in given.pairs], ignore_index=True)
    same = pairs["label"].to_numpy() == 1
    print(f"{same.sum():,} reworded, {(~same).sum():,} of another meaning")
    for model in given.model:
        n_layers = load_backbone(model).n_layers
        for layer in sorted({(n_layers + 1) // 2, n_layers}):
            cosine = cosines(list(pairs["text_a"]), list(pairs["text_b"]), model, layer)
            shares = [f"{(cosine[kind] >= least).mean():.3f}" for least in COSINES for kind in (same, ~same)]
            name = f"{Path(model).name}, layer {layer} of {n_layers}"
            print(f"{name:<36}{'  '.join(shares)}  AUC {roc_auc_score(same, cosine):.3f}", flush=True)


def cosines(first: Sequence[str], second: Sequence[str], model: str, layer: int) -> np.ndarray:
    """(N,) of the states of two texts, made comparable over all of them as the stage does."""
    texts = [*first, *second]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "states"
        write_arrays(path, {"states": mean_states(texts, model, layer=layer)})
        unit = Vectors([path]).take(np.arange(len(texts)))
    found: np.ndarray = (unit[: len(texts) // 2] * unit[len(texts) // 2 :]).sum(1)
    return found


if __name__ == "__main__":
    main()
