"""One run of tokenworth on the texts of compare.py; prints JSON.

"pass" is the forward pass with the pooled features and context moments of every layer, and the H-score of each;
"assess" is the whole assessment (all scores, intervals, chance levels, probes) with a tenth of the texts held out.
"""

from __future__ import annotations

import argparse
import json
import resource
from importlib import import_module
from pathlib import Path
from time import perf_counter


def main() -> None:
    """Run and tell the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pass", "assess"))
    parser.add_argument("texts")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with Path(options.texts).open(encoding="utf-8") as file:
        data = json.load(file)
    for name in ("tokenworth.assessment", "transformers.models.bert.modeling_bert", "sklearn.linear_model"):
        import_module(name)
    start = perf_counter()
    facts = run_pass(data, options.model) if options.what == "pass" else run_assess(data, options.model)
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak, **facts}))


def run_pass(data: dict[str, list[str]], model: str) -> dict[str, float]:
    """Every layer's features, moments and H-score."""
    import torch

    from tokenworth.backbones import load_backbone
    from tokenworth.encode import tokenise
    from tokenworth.features import PassSettings, gather_features, temporary_store
    from tokenworth.scores import PooledMoments, hscore

    backbone = load_backbone(model, device="cpu")
    names = sorted(set(data["labels"]))
    labels = torch.tensor([names.index(label) for label in data["labels"]])
    layers = tuple(range(backbone.n_layers + 1))
    with temporary_store() as store:
        parts = {"train": tokenise(backbone, data["texts"])}
        features = gather_features(backbone, parts, PassSettings(layers=layers), store)
        for layer in layers:
            pooled = torch.from_numpy(features.part("train", layer))
            hscore(PooledMoments(backbone.width, len(names)).update(pooled, labels))
    return {name: features.facts[name] for name in ("tokens", "padded_tokens", "forward_seconds", "moments_seconds")}


def run_assess(data: dict[str, list[str]], model: str) -> dict[str, float]:
    """Everything."""
    import csv
    from tempfile import TemporaryDirectory

    import tokenworth as tw

    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *zip(data["texts"], data["labels"], strict=True)])
        result = tw.assess(model, tw.load_task(str(path), test=0.1), cache=False)
    return {"tokens": result.forward_pass["tokens"], **result.timings}


if __name__ == "__main__":
    main()
