"""One run of TransformerRanker, or of sentence-transformers, in the environment it is installed in; prints JSON.

Started by bench/peers/compare.py.  Texts come as a JSON file with "texts" and "labels".
"""

from __future__ import annotations

import argparse
import json
import resource
from importlib import import_module
from pathlib import Path
from time import perf_counter


def main() -> None:
    """Run the peer and tell its seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("ranker", "sentences"))
    parser.add_argument("texts")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--estimators", nargs="+", default=["hscore"])
    parser.add_argument("--layers", nargs="+", default=["layermean"])
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with Path(options.texts).open(encoding="utf-8") as file:
        data = json.load(file)
    import_module({"ranker": "transformer_ranker", "sentences": "sentence_transformers"}[options.peer])
    start = perf_counter()
    if options.peer == "ranker":
        run_ranker(data, options.model, options.estimators, options.layers)
    else:
        run_sentences(data, options.model)
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def run_ranker(data: dict[str, list[str]], model: str, estimators: list[str], layers: list[str]) -> None:
    """Every estimator with every choice of layers: each is a run of its own, as its interface has it."""
    from datasets import ClassLabel, Dataset, Features, Value
    from transformer_ranker import TransformerRanker

    names = [str(label) for label in sorted(set(data["labels"]))]
    columns = {"text": data["texts"], "label": [names.index(str(label)) for label in data["labels"]]}
    dataset = Dataset.from_dict(columns, features=Features({"text": Value("string"), "label": ClassLabel(names=names)}))
    for estimator in estimators:
        for layer in layers:
            ranker = TransformerRanker(dataset, text_column="text", label_column="label")
            ranker.run(models=[model], batch_size=32, estimator=estimator, layer_aggregator=layer, device="cpu")


def run_sentences(data: dict[str, list[str]], model: str) -> None:
    """sentence-transformers: one vector a text from the last layer."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(model, device="cpu").encode(data["texts"], batch_size=32, show_progress_bar=False)


if __name__ == "__main__":
    main()
