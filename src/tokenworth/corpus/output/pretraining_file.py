"""What a finished corpus hands to pretraining: a run file with its sources as they were mixed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.engine.shard_store import whole

RUN_FILE, TOKENS = "pretrain.yaml", "tokens"
_HEAD = "# Made anew by every build; to change it, copy it.  tokenworth pretrain FILE trains on this corpus.\n"


def write_run_file(corpus: Corpus, shares: Mapping[str, float], out: Path) -> Path:
    """OUT/pretrain.yaml: one source a source, by its share of the bytes; in the annealing phase by its other weight.

    Pretraining draws sequences by these weights, so that they are shares of its tokens.

    Args:
        corpus: what was built.
        shares: wanted share of every source, in [0, 1].
        out: the folder of its texts.

    Raises:
        TokenworthError: no room.
    """
    import yaml

    path = out / RUN_FILE
    text = _HEAD + yaml.safe_dump(run_settings(corpus, shares), sort_keys=False, allow_unicode=True)
    whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def annealing_shares(corpus: Corpus, shares: Mapping[str, float]) -> dict[str, float]:
    """By source: share of the tokens of the annealing phase, which sources that are not there leave to the others."""
    weights = {one.name: one.annealing_weight or 0.0 for one in corpus.sources if shares[one.name] > 0}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}


def run_settings(corpus: Corpus, shares: Mapping[str, float]) -> dict[str, Any]:
    """The settings of the run file; sources of which nothing was taken are left out."""
    annealing = annealing_shares(corpus, shares)
    taken = [source for source in corpus.sources if shares[source.name] > 0]
    found: dict[str, Any] = {"sources": {}, "training": {}, "seed": corpus.seed}
    for source in taken:
        own = {"path": "text-*.parquet", "source": source.name, "weight": round(shares[source.name], 6)}
        more = {"annealing_weight": round(annealing[source.name], 6)} if annealing else {}
        found["sources"][source.name] = {**own, **more}
    if annealing:
        found["training"]["annealing_share"] = corpus.mix.annealing_share
    if corpus.pack is not None:
        found["training"]["held_out_share"] = corpus.pack.held_out_share
        found |= {"tokenizer": corpus.pack.tokenizer, "shards": TOKENS}
    return found
